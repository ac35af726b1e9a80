// The data element's text: JSON as it is, or the base64 of its gzip when it is large.

/** Gives the JSON. Throws an Error whose message is fit for the reader. */
export async function unpackProfile(text) {
  const packed = text.trim();
  if (packed.length < 20) throw new Error("This page carries no profile.");
  if (packed.startsWith("{")) return packed;
  if (typeof DecompressionStream === "undefined") throw new Error("This browser cannot unpack the profile in this page: it has no DecompressionStream. Browsers since 2023 have it.");
  try {
    const binary = atob(packed);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
    return await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  } catch (error) {
    throw new Error("The profile in this page is damaged: " + error.message);
  }
}
