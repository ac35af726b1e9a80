//! From the model to an export request: one dictionary for all columns, a scope for each
//! `__name__`, a profile for each column.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::super::groups::{Group, counts_memory, groups, spelled};
use super::message::{self as otlp, AnyValue, Link, Value};
use crate::profile::{ExtraStrings, LabelSetId, Profile, StackId, ValueType};

/// Makes the request. Trace ids go with the samples only if `trace_ids`.
pub(super) fn request(profile: &Profile, trace_ids: bool) -> otlp::ExportRequest {
    let mut tables = Tables::new(profile, trace_ids);
    let scopes = groups(profile.sample_types());
    let scopes = scopes.iter().map(|group| tables.scope(group)).collect();
    let resource = otlp::Resource { attributes: resource(profile) };
    let resource_profiles =
        vec![otlp::ResourceProfiles { resource: Some(resource), scope_profiles: scopes }];
    otlp::ExportRequest { resource_profiles, dictionary: Some(tables.dictionary()) }
}

/// Process labels by the names of OpenTelemetry's conventions.
fn resource(profile: &Profile) -> Vec<otlp::KeyValue> {
    let attribute = |(key, value): &(String, String)| {
        let name = match key.as_str() {
            "service_name" => "service.name",
            "host" => "host.name",
            "pid" => "process.pid",
            name => name,
        };
        let number = (key == "pid").then(|| value.parse().ok()).flatten();
        let value = number.map_or_else(|| Value::Text(value.clone()), Value::Number);
        otlp::KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }) }
    };
    // Names of this form are the servers' own.
    let labels = profile.meta.labels.iter().filter(|(key, _)| !key.starts_with("__"));
    labels.map(attribute).collect()
}

/// The tables of the dictionary that grow while samples are written.
struct Tables<'a> {
    profile: &'a Profile,
    trace_ids: bool,
    strings: ExtraStrings,
    stacks: Vec<otlp::Stack>,
    stack_positions: HashMap<StackId, i32>,
    links: Vec<Link>,
    link_positions: HashMap<Link, i32>,
    attributes: Vec<otlp::Attribute>,
    attribute_positions: HashMap<(i32, String), i32>,
    /// The attributes and the link of a label set.
    labels: HashMap<LabelSetId, (Vec<i32>, i32)>,
    /// Whether a column has the losses already: they are those of the whole profile.
    losses_told: bool,
}

/// A position in a table. Tables are bounded far below this.
fn at(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(0)
}

/// Where a function stands: every one is there twice, and meant is the second. Parca 0.28 reads
/// the one before the one that is meant.
fn function_at(index: usize) -> i32 {
    at(2 * index + 2)
}

impl<'a> Tables<'a> {
    fn new(profile: &'a Profile, trace_ids: bool) -> Self {
        Self {
            profile,
            trace_ids,
            strings: ExtraStrings::new(profile),
            stacks: vec![otlp::Stack::default()],
            stack_positions: HashMap::new(),
            // Parca takes only an empty one here.
            links: vec![Link::default()],
            link_positions: HashMap::new(),
            attributes: vec![otlp::Attribute::default()],
            attribute_positions: HashMap::new(),
            labels: HashMap::new(),
            losses_told: false,
        }
    }

    fn scope(&mut self, group: &Group) -> otlp::ScopeProfiles {
        let types = self.profile.sample_types();
        let kinds: Vec<_> = group.columns.iter().filter_map(|&at| types.get(at)).collect();
        let counts_cpu = kinds.iter().any(|kind| self.is_counted(kind));
        let mut profiles = Vec::new();
        for &column in &group.columns {
            let Some(kind) = types.get(column) else { continue };
            // The number of samples is what the CPU time is sent as.
            if !(counts_cpu && kind.kind == "samples") {
                profiles.push(self.column(column, kind));
            }
        }
        // Parca names the type after the scope.
        let scope = otlp::Scope { name: group.name.clone(), version: String::new() };
        otlp::ScopeProfiles { scope: Some(scope), profiles }
    }

    /// Whether a column is sent as a number of periods: CPU time is, as the specification and
    /// Pyroscope want it.
    fn is_counted(&self, kind: &ValueType) -> bool {
        kind.kind == "cpu"
            && self.profile.meta.period.as_ref().is_some_and(|(of, each)| of == kind && *each > 0)
    }

    fn column(&mut self, column: usize, kind: &ValueType) -> otlp::Profile {
        let meta = &self.profile.meta;
        let own = (kind.clone(), 1);
        let counted = self.is_counted(kind);
        let (of, each) = match meta.period.as_ref().filter(|(_, each)| *each > 0) {
            Some(period) if counted => period,
            Some((_, each)) if kind.kind == "wall" => &(kind.clone(), *each),
            Some(period) if period.0.unit == kind.unit && period.0.kind != "cpu" => period,
            // Objects are sampled by bytes too; Go's heap profiles have it so.
            Some(period) if counts_memory(&kind.kind) && period.0.kind == "space" => period,
            _ => &own,
        };
        let each = i64::try_from(*each).unwrap_or(i64::MAX);
        let mut counter = Counter { each: if counted { each } else { 1 }, rest: 0 };
        let samples = self.samples(column, &mut counter);
        let sample_type = match counted {
            true => ValueType::new("samples", "count"),
            false => kind.clone(),
        };
        otlp::Profile {
            sample_type: Some(self.value_type(&sample_type)),
            samples,
            time_unix_nano: meta.start_unix_nanos.unwrap_or(0),
            duration_nano: u64::try_from(meta.duration.as_nanos()).unwrap_or(u64::MAX),
            period_type: Some(self.value_type(of)),
            period: each,
            profile_id: random_id(),
            attributes: self.losses(),
        }
    }

    fn samples(&mut self, column: usize, counter: &mut Counter) -> Vec<otlp::Sample> {
        let mut samples = Vec::new();
        for sample in self.profile.samples() {
            let value = sample.values.get(column).copied().unwrap_or(0);
            let value = counter.count(value);
            if value != 0 {
                let (attributes, link) = self.labels(sample.labels);
                let stack = self.stack(sample.stack);
                samples.push(otlp::Sample { stack, attributes, link, values: vec![value] });
            }
        }
        samples
    }

    fn value_type(&mut self, of: &ValueType) -> otlp::ValueType {
        let of = spelled(of);
        let kind = at(self.strings.position(&of.kind));
        otlp::ValueType { kind, unit: at(self.strings.position(&of.unit)) }
    }

    /// The losses, for the first column that is sent.
    fn losses(&mut self) -> Vec<i32> {
        if std::mem::replace(&mut self.losses_told, true) {
            return Vec::new();
        }
        let losses = self.profile.losses();
        let unit = self.profile.loss_unit().to_owned();
        let loss = |loss: &crate::profile::Loss| {
            let key = format!("sondage.loss.{}", loss.cause.name());
            let value = Value::Number(i64::try_from(loss.value).unwrap_or(i64::MAX));
            let (key, unit) = (self.strings.position(&key), self.strings.position(&unit));
            let value = Some(AnyValue { value: Some(value) });
            self.attributes.push(otlp::Attribute { key: at(key), value, unit: at(unit) });
            at(self.attributes.len() - 1)
        };
        losses.iter().map(loss).collect()
    }

    fn stack(&mut self, id: StackId) -> i32 {
        if let Some(&known) = self.stack_positions.get(&id) {
            return known;
        }
        let locations = self.profile.frames(id).iter();
        let locations = locations.map(|location| at(location.index() + 1)).collect();
        self.stacks.push(otlp::Stack { locations });
        let position = at(self.stacks.len() - 1);
        self.stack_positions.insert(id, position);
        position
    }

    fn labels(&mut self, id: LabelSetId) -> (Vec<i32>, i32) {
        if let Some(known) = self.labels.get(&id) {
            return known.clone();
        }
        let profile = self.profile;
        let value_of = |name| profile.labels(id).find(|(key, _)| *key == name);
        let bytes = |name, length| value_of(name).map(|(_, text)| bytes_of_hex(text, length));
        let trace_id = bytes("trace_id", 16).filter(|_| self.trace_ids).unwrap_or_default();
        let span_id = bytes("span_id", 8).unwrap_or_default();
        // Parca refuses a link without a trace, Pyroscope 1.x makes a series of each trace: a span
        // alone is an attribute, which both understand.
        let linked = !trace_id.is_empty() && !span_id.is_empty();
        let link = if linked { Link { trace_id, span_id } } else { Link::default() };
        let mut attributes = Vec::new();
        for (key, value) in profile.labels(id) {
            // What has no name is refused with all the rest.
            if key.is_empty() || key == "trace_id" || (key == "span_id" && linked) {
                continue;
            }
            let key = at(self.strings.position(key));
            attributes.push(self.attribute(key, value));
        }
        let found = (attributes, self.link(link));
        self.labels.insert(id, found.clone());
        found
    }

    fn attribute(&mut self, key: i32, value: &str) -> i32 {
        let pair = (key, value.to_owned());
        if let Some(&known) = self.attribute_positions.get(&pair) {
            return known;
        }
        let value = Some(AnyValue { value: Some(Value::Text(pair.1.clone())) });
        self.attributes.push(otlp::Attribute { key, value, unit: 0 });
        let position = at(self.attributes.len() - 1);
        self.attribute_positions.insert(pair, position);
        position
    }

    fn link(&mut self, link: Link) -> i32 {
        if link.span_id.is_empty() {
            return 0;
        }
        if let Some(&known) = self.link_positions.get(&link) {
            return known;
        }
        self.links.push(link.clone());
        let position = at(self.links.len() - 1);
        self.link_positions.insert(link, position);
        position
    }

    fn dictionary(mut self) -> otlp::Dictionary {
        let mappings = self.mappings();
        let profile = self.profile;
        let strings = profile.strings().iter().chain(self.strings.extra());
        otlp::Dictionary {
            mappings,
            locations: locations(profile),
            functions: functions(profile),
            links: self.links,
            strings: strings.cloned().collect(),
            attributes: self.attributes,
            stacks: self.stacks,
        }
    }

    fn mappings(&mut self) -> Vec<otlp::Mapping> {
        let key = at(self.strings.position("process.executable.build_id.gnu"));
        let profile = self.profile;
        let mapping = |mapping: &crate::profile::Mapping| {
            let build_id = profile.text(mapping.build_id);
            let attributes = match build_id {
                "" => Vec::new(),
                _ => vec![self.attribute(key, build_id)],
            };
            otlp::Mapping {
                start: mapping.start,
                limit: mapping.end,
                offset: mapping.file_offset,
                file: at(mapping.file.index()),
                attributes,
            }
        };
        profile.mappings().iter().map(mapping).collect()
    }
}

fn locations(profile: &Profile) -> Vec<otlp::Location> {
    let location = |location: &crate::profile::Location| otlp::Location {
        mapping: at(location.mapping.index()),
        address: location.address,
        lines: location
            .lines
            .iter()
            .map(|line| otlp::Line {
                function: function_at(line.function.index()),
                line: line.line.into(),
            })
            .collect(),
    };
    let known = profile.locations().iter().map(location);
    std::iter::once(otlp::Location::default()).chain(known).collect()
}

fn functions(profile: &Profile) -> Vec<otlp::Function> {
    let function = |function: &crate::profile::Function| otlp::Function {
        name: at(function.name.index()),
        system_name: at(function.system_name.index()),
        file: at(function.file.index()),
        start_line: function.start_line.into(),
    };
    let twice = profile.functions().iter().map(function).flat_map(|it| [it, it]);
    std::iter::once(otlp::Function::default()).chain(twice).collect()
}

/// Turns amounts into numbers of periods. What is left over goes into the next, so that the sum
/// is right to one period.
struct Counter {
    each: i64,
    rest: i64,
}

impl Counter {
    fn count(&mut self, value: i64) -> i64 {
        let amount = value.saturating_add(self.rest);
        // To the nearest: one sample's surplus is the next one's deficit.
        let count = amount.saturating_add(self.each / 2).div_euclid(self.each);
        self.rest = amount - count.saturating_mul(self.each);
        count
    }
}

/// Bytes of an id in hexadecimal digits; none when it is not one of this length.
fn bytes_of_hex(text: &str, length: usize) -> Vec<u8> {
    let digits: Option<Vec<u32>> = text.chars().map(|char| char.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * length).unwrap_or_default();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn random_id() -> Vec<u8> {
    let state = RandomState::new();
    let half = |number: u8| state.hash_one(number).to_le_bytes();
    [half(0), half(1)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::LossCause;

    #[test]
    fn losses_are_told_once_also_where_the_first_column_is_not_sent() {
        let cpu = ValueType::new("cpu", "nanoseconds");
        let samples = ValueType::new("samples", "count");
        let wall = ValueType::new("wall", "nanoseconds");
        let mut profile = Profile::new(vec![samples, cpu.clone(), wall]);
        profile.meta.period = Some((cpu, 10_000_000));
        profile.add_loss(LossCause::Missed, 30_000_000);
        let request = request(&profile, false);
        let scopes = request.resource_profiles.iter().flat_map(|it| &it.scope_profiles);
        let told: Vec<usize> =
            scopes.flat_map(|it| &it.profiles).map(|it| it.attributes.len()).collect();
        assert_eq!(told, [1, 0]);
        let attributes = request.dictionary.unwrap().attributes;
        assert_eq!(attributes[1].value.as_ref().unwrap().value, Some(Value::Number(30_000_000)));
    }

    #[test]
    fn counting_periods_keeps_the_sum() {
        let mut counter = Counter { each: 10, rest: 0 };
        let counts: Vec<i64> = [10, 14, 4, 4, 3, 0, 25].map(|it| counter.count(it)).to_vec();
        assert_eq!(counts.iter().sum::<i64>(), 6);
        assert!(counter.rest.abs() <= 5, "{}", counter.rest);
        assert!(counts.iter().all(|count| *count >= 0), "{counts:?}");
    }

    #[test]
    fn an_id_of_another_length_is_none() {
        assert_eq!(bytes_of_hex("00f067aa0ba902b7", 8), [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7]);
        for text in ["", "00f067aa0ba902b", "00f067aa0ba902b7aa", "zzf067aa0ba902b7"] {
            assert!(bytes_of_hex(text, 8).is_empty(), "{text}");
        }
    }
}
