//! Multipart forms.

use bytes::Bytes;
use multer::Multipart;

use crate::request::Request;

/// One part of a form.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// The parts of a form, in their order.
pub(crate) async fn parts(request: &Request) -> Result<Vec<Part>, String> {
    let text = |error: multer::Error| format!("damaged form: {error}");
    let boundary = multer::parse_boundary(request.header("content-type")).map_err(text)?;
    let body = request.body.clone();
    let stream = futures_util::stream::once(async { Ok::<_, std::io::Error>(body) });
    let mut form = Multipart::new(stream, boundary);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(text)? {
        parts.push(Part {
            name: field.name().unwrap_or_default().to_owned(),
            file_name: field.file_name().unwrap_or_default().to_owned(),
            content_type: field.content_type().map(ToString::to_string).unwrap_or_default(),
            body: field.bytes().await.map_err(text)?,
        });
    }
    Ok(parts)
}
