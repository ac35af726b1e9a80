//! Names as Java spells them, and as they stay the same from run to run.

/// Text in Java's UTF-8, in which NUL has two bytes and what is beyond 16 bits is two surrogates of
/// three each. What is damaged becomes U+FFFD.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, more)) = rest.split_first() {
        let low = |byte: u8| (byte & 0xc0 == 0x80).then_some(u16::from(byte & 0x3f));
        let (unit, length) = match (first, more) {
            (0..0x80, _) => (u16::from(first), 1),
            (0xc0..0xe0, &[a, ..]) if low(a).is_some() => {
                (u16::from(first & 0x1f) << 6 | low(a).unwrap_or(0), 2)
            }
            (0xe0..0xf0, &[a, b, ..]) if low(a).and(low(b)).is_some() => {
                let (a, b) = (low(a).unwrap_or(0), low(b).unwrap_or(0));
                (u16::from(first & 0x0f) << 12 | a << 6 | b, 3)
            }
            _ => (0xfffd, 1),
        };
        units.push(unit);
        rest = &rest[length..];
    }
    String::from_utf16_lossy(&units)
}

/// A class with dots, without what differs from run to run: the address of a hidden class, and the
/// numbers of lambdas and of what the runtime makes for reflection.
pub fn class(internal: &str) -> String {
    let hidden = ["+0x", "/0x", ".0x"].iter().filter_map(|mark| internal.find(mark)).min();
    let name = &internal[..hidden.unwrap_or(internal.len())];
    let name = match name.find("$$Lambda$") {
        Some(at) if is_number(&name[at + 9..]) => &name[..at + 8],
        _ => name,
    };
    let made = ["GeneratedMethodAccessor", "GeneratedConstructorAccessor"];
    let name = match made.iter().find_map(|made| name.find(made).map(|at| at + made.len())) {
        Some(end) if is_number(&name[end..]) => &name[..end],
        _ => name,
    };
    name.replace('/', ".")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The source file with the folder that its package is in.
pub(super) fn file(class: &str, file: &str) -> String {
    match class.rsplit_once('/') {
        _ if file.is_empty() => String::new(),
        // The address of a hidden class has a slash before 15.
        Some((package, rest)) if rest.starts_with("0x") => self::file(package, file),
        Some((package, _)) => format!("{package}/{file}"),
        None => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_java_reads_as_it_was_written() {
        assert_eq!(text(b"java/lang/String"), "java/lang/String");
        assert_eq!(text(b"a\xc0\x80b"), "a\0b");
        assert_eq!(text("Größe→".as_bytes()), "Größe→");
        assert_eq!(text(b"\xed\xa0\xbd\xed\xb8\x80"), "😀");
        assert_eq!(text(b"\xff\xe2\x82"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(text(b"\xed\xa0\xbdx"), "\u{fffd}x", "half of a pair");
    }

    #[test]
    fn names_do_not_differ_from_run_to_run() {
        for (internal, shown) in [
            ("java/util/HashMap$Node", "java.util.HashMap$Node"),
            ("app/Main$$Lambda$16/0x0000000800c03000", "app.Main$$Lambda"),
            ("app/Main$$Lambda$16+0x0000000800c03000", "app.Main$$Lambda"),
            ("app/Main$$Lambda+0x00007f1234", "app.Main$$Lambda"),
            ("app.Main$$Lambda.0x00007f1234", "app.Main$$Lambda"),
            ("java/lang/invoke/LambdaForm$MH+0x0000", "java.lang.invoke.LambdaForm$MH"),
            (
                "jdk/internal/reflect/GeneratedMethodAccessor12",
                "jdk.internal.reflect.GeneratedMethodAccessor",
            ),
            ("app/GeneratedMethodAccessorsOfMine", "app.GeneratedMethodAccessorsOfMine"),
            ("app/A$$Lambda$x", "app.A$$Lambda$x"),
        ] {
            assert_eq!(class(internal), shown);
        }
    }

    #[test]
    fn a_file_is_in_the_folder_of_its_package() {
        assert_eq!(file("java/util/HashMap$Node", "HashMap.java"), "java/util/HashMap.java");
        assert_eq!(file("Main", "Main.java"), "Main.java");
        assert_eq!(file("app/Main", ""), "");
        assert_eq!(file("app/Main$$Lambda$16/0x0000", "Main.java"), "app/Main.java");
    }
}
