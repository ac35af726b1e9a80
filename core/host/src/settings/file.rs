//! The settings file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sondage::config::nearest;
use sondage::{Error, ErrorKind};

use super::{Given, OWN, SECTIONS, SHARED};
use crate::relabel::{RuleText, Rules};
use crate::selection::{FIELDS, Selection, Selector};
use crate::yaml::{Node, Value, Wrong, parse};

/// Selectors of each kind, and names in each allow-list.
const MAX_ITEMS: usize = 256;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Settings that are one text, by name.
    pub(super) texts: BTreeMap<String, Given>,
    pub(super) rules: Rules,
    pub(super) selection: Selection,
    pub(super) kubernetes: Cluster,
}

/// The section about Kubernetes.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) server: Option<String>,
    pub(super) node: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) pod_labels: Vec<String>,
    pub(super) pod_annotations: Vec<String>,
}

impl File {
    /// Reads a file whose name messages show.
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let mut file = Self::default();
        file.read(text, name).map_err(|wrong| {
            let message = format!("{name}:{}: {}", wrong.line, wrong.message);
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        Ok(file)
    }

    fn read(&mut self, text: &str, name: &str) -> Result<(), Wrong> {
        for (key, node) in entries(&parse(text)?, "settings")? {
            match key {
                "relabel_configs" => self.rules = rules(node)?,
                "include" => self.selection.include = selectors(node)?,
                "exclude" => self.selection.exclude = selectors(node)?,
                "kubernetes" if matches!(node.value, Value::Map(_)) => self.cluster(node, name)?,
                key if SHARED.contains(&key) || OWN.contains(&key) => {
                    let text = match (key, &node.value) {
                        ("push", Value::List(_)) => texts(node, key)?.join(","),
                        ("labels", Value::Map(_)) => pairs(node)?,
                        _ => text_of(node, key)?,
                    };
                    self.take(key, node, text, name);
                }
                key => return Err(unknown(node.line_of_key, key)),
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str, entry: Entry<'_>, text: String, name: &str) {
        let shown = format!("{name}:{}: {key}", entry.line_of_key);
        // Nothing is as good as not there, as for variables.
        if !text.trim().is_empty() {
            self.texts.insert(key.to_owned(), Given { shown, text });
        }
    }

    fn cluster(&mut self, node: Entry<'_>, name: &str) -> Result<(), Wrong> {
        const KEYS: [&str; 7] =
            ["ca_file", "enabled", "node", "pod_annotations", "pod_labels", "server", "token_file"];
        for (key, node) in entries(node.node, "kubernetes")? {
            let path = || text_of(node, key).map(PathBuf::from);
            let cluster = &mut self.kubernetes;
            match key {
                "enabled" => self.take("kubernetes", node, text_of(node, key)?, name),
                "server" => cluster.server = Some(text_of(node, key)?),
                "node" => cluster.node = Some(text_of(node, key)?),
                "token_file" => cluster.token_file = Some(path()?),
                "ca_file" => cluster.ca_file = Some(path()?),
                "pod_labels" => cluster.pod_labels = texts(node, key)?,
                "pod_annotations" => cluster.pod_annotations = texts(node, key)?,
                key => return Err(unknown_among(node.line_of_key, key, &KEYS)),
            }
        }
        Ok(())
    }
}

/// A value, with the line of its key.
#[derive(Clone, Copy)]
struct Entry<'a> {
    line_of_key: usize,
    node: &'a Node,
}

impl std::ops::Deref for Entry<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
    }
}

fn entries<'a>(node: &'a Node, what: &str) -> Result<Vec<(&'a str, Entry<'a>)>, Wrong> {
    match &node.value {
        Value::Nothing => Ok(Vec::new()),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, node)| (key.name.as_str(), Entry { line_of_key: key.line, node }));
            Ok(entries.collect())
        }
        _ => Err(Wrong::new(node.line, format!("{what}: allowed: keys with values"))),
    }
}

fn unknown(line: usize, key: &str) -> Wrong {
    let secret = match key {
        "token" => Some("token_file"),
        "basic_auth" => Some("basic_auth_file"),
        "otlp_headers" => Some("otlp_headers_file"),
        "datadog_key" => Some("datadog_key_file"),
        "pull_token" => Some("pull_token_file"),
        _ => None,
    };
    if let Some(file) = secret {
        let message = format!("{key}: secrets have a file of their own; set {file}");
        return Wrong::new(line, message);
    }
    unknown_among(line, key, &[&SHARED[..], &OWN, &SECTIONS].concat())
}

fn unknown_among(line: usize, key: &str, known: &[&str]) -> Wrong {
    let shown: String = key.chars().take(100).collect();
    Wrong::new(
        line,
        match nearest(key, known.iter().copied()) {
            Some(known) => format!("{shown:?} is unknown; did you mean {known}?"),
            None => {
                let mut known = known.to_vec();
                known.sort_unstable();
                known.dedup();
                format!("{shown:?} is unknown; known: {}", known.join(", "))
            }
        },
    )
}

fn text_of(entry: Entry<'_>, key: &str) -> Result<String, Wrong> {
    match &entry.node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Nothing => Ok(String::new()),
        _ => Err(Wrong::new(entry.line_of_key, format!("{key}: allowed: one value"))),
    }
}

/// A list of texts, or one.
fn texts(entry: Entry<'_>, key: &str) -> Result<Vec<String>, Wrong> {
    let Value::List(items) = &entry.node.value else { return Ok(vec![text_of(entry, key)?]) };
    if items.len() > MAX_ITEMS {
        return Err(Wrong::new(entry.line, format!("{key}: allowed: at most {MAX_ITEMS}")));
    }
    let item = |node| text_of(Entry { line_of_key: entry.line_of_key, node }, key);
    items.iter().map(item).collect()
}

/// A map as `key=value,key=value`, the form of the variable.
fn pairs(entry: Entry<'_>) -> Result<String, Wrong> {
    let escaped = |text: &str| {
        text.replace('%', "%25").replace(',', "%2C").replace('=', "%3D").replace(' ', "%20")
    };
    let pairs = entries(entry.node, "labels")?
        .into_iter()
        .map(|(key, node)| Ok(format!("{}={}", escaped(key), escaped(&text_of(node, key)?))));
    Ok(pairs.collect::<Result<Vec<_>, Wrong>>()?.join(","))
}

fn items<'a>(entry: Entry<'a>, what: &str) -> Result<&'a [Node], Wrong> {
    match &entry.node.value {
        Value::Nothing => Ok(&[]),
        Value::List(items) if items.len() <= MAX_ITEMS => Ok(items),
        _ => Err(Wrong::new(entry.line, format!("allowed: a list of at most {MAX_ITEMS} {what}"))),
    }
}

fn selectors(entry: Entry<'_>) -> Result<Vec<Selector>, Wrong> {
    let keys = FIELDS.map(|(key, _)| key);
    let selector = |node| {
        let mut selector = Selector::default();
        let fields = entries(node, "selectors")?;
        if fields.is_empty() {
            return Err(Wrong::new(node.line, "a selector without a field would match everything"));
        }
        for (key, node) in fields {
            let known = FIELDS.iter().find(|(known, _)| *known == key);
            let (_, label) = known.ok_or_else(|| unknown_among(node.line_of_key, key, &keys))?;
            let added = selector.add(label, &text_of(node, key)?);
            added.map_err(|message| Wrong::new(node.line, message))?;
        }
        Ok(selector)
    };
    items(entry, "selectors")?.iter().map(selector).collect()
}

fn rules(entry: Entry<'_>) -> Result<Rules, Wrong> {
    let nodes = items(entry, "rules")?;
    let texts = nodes.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    Rules::compile(&texts).map_err(|(at, message)| {
        Wrong::new(nodes.get(at).map_or(entry.line, |node| node.line), message)
    })
}

fn rule(node: &Node) -> Result<RuleText, Wrong> {
    const KEYS: [&str; 7] =
        ["action", "modulus", "regex", "replacement", "separator", "source_labels", "target_label"];
    let mut rule = RuleText::default();
    for (key, entry) in entries(node, "rules")? {
        let text = || text_of(entry, key).map(Some);
        match key {
            "action" => rule.action = text()?,
            "modulus" => {
                let number = text_of(entry, key)?.parse();
                let wrong = |_| Wrong::new(entry.line, "modulus: allowed: a whole number");
                rule.modulus = Some(number.map_err(wrong)?);
            }
            "regex" => rule.regex = text()?,
            "replacement" => rule.replacement = text()?,
            "separator" => rule.separator = text()?,
            "source_labels" => rule.source_labels = Some(texts(entry, key)?),
            "target_label" => rule.target_label = text()?,
            key => return Err(unknown_among(entry.line_of_key, key, &KEYS)),
        }
    }
    Ok(rule)
}
