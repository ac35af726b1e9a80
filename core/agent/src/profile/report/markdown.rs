//! The report for a pull request.

use std::fmt::Write;

use super::FunctionWeight;
use super::Report;
use super::quantity::share;
use super::terminal::NO_LABEL;
use super::terminal::visible;

impl Report {
    /// The report as GitHub-flavoured Markdown, with the `top` heaviest functions of each list.
    /// Names are code, never markup.
    pub fn to_markdown(&self, top: usize) -> String {
        let mut out = String::new();
        for line in self.headlines() {
            paragraph(&mut out, &code(&line));
        }
        self.function_table(&mut out, &self.functions, top);
        for peek in self.peek.iter().take(top) {
            let total = peek.function.total;
            paragraph(&mut out, &format!("### {}", code(&peek.function.name)));
            for (title, edges) in [("Called by", &peek.callers), ("Calls", &peek.callees)] {
                let rows = edges.iter().take(top).map(|(name, weight)| (name.as_str(), *weight));
                self.weight_table(&mut out, title, rows, total);
            }
        }
        for part in &self.by_label {
            let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), code);
            let (weight, share) = (self.amount(part.total), share(part.total, self.total));
            paragraph(&mut out, &format!("### {value}: {weight} ({share})"));
            self.function_table(&mut out, &part.functions, top);
        }
        for (key, values) in self.varying_labels() {
            self.weight_table(&mut out, &code(key), values.into_iter(), self.total);
        }
        out
    }

    fn function_table(&self, out: &mut String, functions: &[FunctionWeight], top: usize) {
        out.push_str("| self % | self | total % | total | function |\n|--:|--:|--:|--:|:--|\n");
        for function in functions.iter().take(top) {
            let (own, total) = (function.self_value, function.total);
            let (own_share, total_share) = (share(own, self.total), share(total, self.total));
            let (own, total, name) = (self.amount(own), self.amount(total), code(&function.name));
            // Writing to a string does not fail.
            let _ = writeln!(out, "| {own_share} | {own} | {total_share} | {total} | {name} |");
        }
        out.push('\n');
    }

    fn weight_table<'a>(
        &self,
        out: &mut String,
        title: &str,
        rows: impl Iterator<Item = (&'a str, i64)>,
        whole: i64,
    ) {
        let _ = write!(out, "| % | {} | {title} |\n|--:|--:|:--|\n", code(&self.column.kind));
        for (name, weight) in rows {
            let (share, weight) = (share(weight, whole), self.amount(weight));
            let _ = writeln!(out, "| {share} | {weight} | {} |", code(name));
        }
        out.push('\n');
    }
}

pub(in crate::profile) fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

/// A code span that holds any text, in a table too: fenced by more backticks than it has in a row.
pub(in crate::profile) fn code(text: &str) -> String {
    let text = visible(text).replace('|', "\\|");
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_name_stays_inside_its_code_span() {
        assert_eq!(code("<b>a|b</b>"), "`<b>a\\|b</b>`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code("line\nbreak"), "`line\\u{a}break`");
    }
}
