//! What a virtual machine answers.

/// The answer to the request to load an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The agent was loaded; what it returned.
    Returned(i32),
    /// It was not, and why.
    Refused(String),
}

impl Answer {
    /// Reads an answer: a line with a number, which is 0 where the request was understood, then what
    /// the agent returned or why there is none. Before Java 9 the second line is a number only.
    pub(crate) fn parse(text: &str) -> Self {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let returned = rest.lines().next().unwrap_or_default().trim();
        let returned = returned.strip_prefix("return code:").unwrap_or(returned).trim();
        match (first.trim().parse::<i32>(), returned.parse()) {
            (Ok(0), Ok(returned)) => Self::Returned(returned),
            (Ok(_), _) if !rest.trim().is_empty() => Self::Refused(line(rest)),
            (Ok(code), _) => Self::Refused(format!("the virtual machine refuses, with {code}")),
            (Err(_), _) => Self::Refused(match text.trim().is_empty() {
                true => "the virtual machine has closed the connection".to_owned(),
                false => format!("the virtual machine answers {}", line(text)),
            }),
        }
    }
}

/// Text of another process on one line, without what a terminal obeys.
fn line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_versions_are_read() {
        let refused = |why: &str| Answer::Refused(why.to_owned());
        for (text, answer) in [
            ("0\nreturn code: 0\n", Answer::Returned(0)),
            ("0\nreturn code: 2\n", Answer::Returned(2)),
            ("0\n0\n", Answer::Returned(0)),
            ("0\n-1\n", Answer::Returned(-1)),
            (
                "-1\na.so was not loaded.\nno such file\n",
                refused("a.so was not loaded. no such file"),
            ),
            ("0\na.so was not loaded.\n", refused("a.so was not loaded.")),
            ("101\n", refused("the virtual machine refuses, with 101")),
            ("", refused("the virtual machine has closed the connection")),
            ("\u{1b}[2J", refused("the virtual machine answers \\u{1b}[2J")),
        ] {
            assert_eq!(Answer::parse(text), answer, "{text:?}");
        }
    }
}
