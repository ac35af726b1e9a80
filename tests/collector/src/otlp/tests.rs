//! One message for each rule.

use super::message::{
    AnyValue, Attribute, Dictionary, Function, Line, Link, Location, Mapping, Resource,
    SampleMessage, Stack, TypeMessage, Value,
};
use super::*;
use crate::fixture::{assert_accepted, assert_refused, grpc_request, gzip, request};

const HEADERS: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Value::Text(text.into())) })
}

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: text(value), key_strindex: 0 }
}

fn function(name: i32) -> Function {
    Function { name, file: 5, ..Function::default() }
}

/// `work`, stored twice, as Parca needs it, called by `main`, which Parca takes for the second `work`.
fn good() -> Export {
    let strings =
        ["", "samples", "count", "cpu", "nanoseconds", "work.rs", "work", "main", "route"];
    let line = |function, line| Location {
        lines: vec![Line { function, line }],
        mapping: 1,
        ..Location::default()
    };
    let dictionary = Dictionary {
        mappings: vec![Mapping::default(), Mapping { file: 5, ..Mapping::default() }],
        locations: vec![Location::default(), line(2, 42), line(3, 7)],
        functions: vec![Function::default(), function(6), function(6), function(7)],
        links: vec![Link::default(), Link { trace_id: vec![1; 16], span_id: vec![2; 8] }],
        strings: strings.map(str::to_owned).to_vec(),
        attributes: vec![Attribute::default(), Attribute { key: 8, value: text("/"), unit: 0 }],
        stacks: vec![Stack::default(), Stack { locations: vec![1, 2] }],
    };
    let sample = SampleMessage {
        stack: 1,
        attributes: vec![1],
        link: 1,
        values: vec![3],
        timestamps: vec![],
    };
    let profile = ProfileMessage {
        sample_type: Some(TypeMessage { kind: 1, unit: 2 }),
        samples: vec![sample],
        time_nanos: 1_795_428_000_000_000_000,
        duration_nanos: 10,
        period_type: Some(TypeMessage { kind: 3, unit: 4 }),
        period: 10_000_000,
        id: vec![9; 16],
        attributes: vec![],
    };
    let scope = Scope { name: "process-cpu".into(), attributes: vec![key_value("lib", "sondage")] };
    let scopes = vec![ScopeProfiles { scope: Some(scope), profiles: vec![profile] }];
    let resource = Some(Resource { attributes: vec![key_value("service.name", "shop")] });
    let resources = vec![ResourceProfiles { resource, scopes }];
    Export { resources, dictionary: Some(dictionary) }
}

fn tables(export: &mut Export) -> &mut Dictionary {
    export.dictionary.as_mut().unwrap()
}

fn scope(export: &mut Export) -> &mut ScopeProfiles {
    &mut export.resources[0].scopes[0]
}

fn profile(export: &mut Export) -> &mut ProfileMessage {
    &mut scope(export).profiles[0]
}

fn sample(export: &mut Export) -> &mut SampleMessage {
    &mut profile(export).samples[0]
}

fn resource(export: &mut Export) -> &mut KeyValue {
    &mut export.resources[0].resource.as_mut().unwrap().attributes[0]
}

type Break = fn(&mut Export);

const MESSAGE_RULES: [(&str, Break); 28] = [
    ("no dictionary", |it| it.dictionary = None),
    ("no profile in the request", |it| it.resources.clear()),
    ("no resource", |it| it.resources[0].resource = None),
    ("no scope", |it| scope(it).scope = None),
    ("a scope without a name", |it| scope(it).scope.as_mut().unwrap().name.clear()),
    ("key_strindex", |it| resource(it).key_strindex = 1),
    ("string_value_strindex", |it| {
        resource(it).value = Some(AnyValue { value: Some(Value::TextIndex(1)) });
    }),
    ("string_value_strindex", |it| {
        let value = Some(AnyValue { value: Some(Value::TextIndex(1)) });
        scope(it).scope.as_mut().unwrap().attributes[0].value = value;
    }),
    ("servers drop", |it| {
        resource(it).value = Some(AnyValue { value: Some(Value::Bytes(vec![1])) });
    }),
    ("service.name: no value", |it| resource(it).value = None),
    ("an attribute without a name", |it| resource(it).key.clear()),
    ("service.name is given twice", |it| {
        let again = resource(it).clone();
        it.resources[0].resource.as_mut().unwrap().attributes.push(again);
    }),
    ("no sample type", |it| profile(it).sample_type = None),
    ("a value type without a name", |it| profile(it).sample_type = Some(TypeMessage::default())),
    ("no period type", |it| profile(it).period_type = None),
    ("without a period", |it| profile(it).period = 0),
    ("no start", |it| profile(it).time_nanos = 0),
    ("not 16 bytes", |it| profile(it).id.truncate(15)),
    ("not 16 bytes, or all zero", |it| profile(it).id = vec![0; 16]),
    ("the same id", |it| {
        let again = profile(it).clone();
        scope(it).profiles.push(again);
    }),
    ("a sample without values", |it| sample(it).values.clear()),
    ("2 values for 0 timestamps", |it| sample(it).values.push(1)),
    ("1 values for 2 timestamps", |it| sample(it).timestamps = vec![1, 2]),
    ("stack 2 is not", |it| sample(it).stack = 2),
    ("attribute 2 is not", |it| sample(it).attributes = vec![2]),
    ("attribute 0, which means none", |it| sample(it).attributes = vec![0]),
    ("route is given twice", |it| sample(it).attributes = vec![1, 1]),
    ("link -1 is not", |it| sample(it).link = -1),
];

const TABLE_RULES: [(&str, Break); 28] = [
    ("mapping_table is empty", |it| tables(it).mappings.clear()),
    ("location_table is empty", |it| tables(it).locations.clear()),
    ("function_table is empty", |it| tables(it).functions.clear()),
    ("link_table is empty", |it| tables(it).links.clear()),
    ("string_table is empty", |it| tables(it).strings.clear()),
    ("attribute_table is empty", |it| tables(it).attributes.clear()),
    ("stack_table is empty", |it| tables(it).stacks.clear()),
    ("mapping_table[0]", |it| tables(it).mappings[0].file = 5),
    ("location_table[0]", |it| tables(it).locations[0].address = 5),
    ("function_table[0]", |it| tables(it).functions[0].name = 5),
    // The form that the specification recommends, and Parca refuses.
    ("link_table[0]", |it| {
        tables(it).links[0] = Link { trace_id: vec![0; 16], span_id: vec![0; 8] }
    }),
    ("string_table[0]", |it| tables(it).strings[0] = "x".into()),
    ("attribute_table[0]", |it| tables(it).attributes[0].key = 5),
    ("stack_table[0]", |it| tables(it).stacks[0].locations.push(1)),
    ("mapping 2 is not", |it| tables(it).locations[1].mapping = 2),
    ("string 99 is not", |it| tables(it).mappings[1].file = 99),
    ("attribute 9 is not", |it| tables(it).mappings[1].attributes.push(9)),
    ("attribute 9 is not", |it| tables(it).locations[1].attributes.push(9)),
    ("function 4 is not", |it| tables(it).locations[1].lines[0].function = 4),
    ("function 0, which means none", |it| tables(it).locations[1].lines[0].function = 0),
    ("string 99 is not", |it| tables(it).functions[1].system_name = 99),
    ("location 3 is not", |it| tables(it).stacks[1].locations.push(3)),
    ("location 0, which means none", |it| tables(it).stacks[1].locations.push(0)),
    ("ids of a wrong length", |it| tables(it).links[1].span_id.truncate(7)),
    ("ids of a wrong length", |it| tables(it).links[1].trace_id.truncate(15)),
    ("an attribute without a name", |it| tables(it).attributes[1].key = 0),
    ("string 99 is not", |it| tables(it).attributes[1].unit = 99),
    ("route: no value", |it| tables(it).attributes[1].value = None),
];

#[test]
fn each_rule_is_broken_by_one_message_over_either_transport() {
    let http = |export: &Export| take_http(&request(HTTP_PATH, &HEADERS, export.encode_to_vec()));
    let grpc = |export: &Export| take_grpc(&grpc_request(GRPC_PATH, export));
    assert_accepted(&http(&good()));
    assert_accepted(&grpc(&good()));
    for (reason, break_it) in MESSAGE_RULES.into_iter().chain(TABLE_RULES) {
        let mut broken = good();
        break_it(&mut broken);
        assert_refused(&http(&broken), 400, reason);
        assert_refused(&grpc(&broken), 3, reason);
    }
}

#[test]
fn only_the_content_type_and_compression_that_all_take_are_taken() {
    let body = good().encode_to_vec();
    let with = |headers: &[(&str, &str)], body: &[u8]| {
        take_http(&request(HTTP_PATH, headers, body.to_vec()))
    };
    for kind in ["application/json", "application/proto", ""] {
        assert_refused(&with(&[("content-type", kind)], &body), 415, "content type");
    }
    let encoded = |encoding| [HEADERS[0], ("content-encoding", encoding)];
    assert_accepted(&with(&encoded("gzip"), &gzip(&body)));
    assert_refused(&with(&encoded("gzip"), &body), 400, "damaged gzip");
    assert_refused(&with(&encoded("zstd"), &body), 415, "not decoded");
    assert_refused(&with(&HEADERS, &[0xff; 9]), 400, "damaged message");
}

#[test]
fn what_a_message_means_is_looked_up_as_written_and_as_parca_reads_it() {
    let verdict = take_grpc(&grpc_request(GRPC_PATH, &good()));
    let profile = &verdict.accepted[0];
    let labels: Vec<_> = profile.labels.iter().map(|(a, b)| format!("{a}={b}")).collect();
    assert_eq!(labels, ["__name__=process_cpu", "lib=sondage", "service.name=shop"]);
    let sample = &profile.samples[0];
    let names: Vec<_> = sample.stack.iter().map(|it| it.function.as_str()).collect();
    assert_eq!(names, ["work", "main"]);
    let names: Vec<_> = sample.stack.iter().map(|it| it.parca_function.as_deref()).collect();
    assert_eq!(names, [Some("work"), Some("work")], "main is stored only once");
    assert_eq!((sample.labels["route"].as_str(), sample.stack[0].line), ("/", 42));
    assert_eq!(sample.link, Some(("01".repeat(16), "02".repeat(8))));
    assert_eq!((profile.period.as_ref().unwrap().1, profile.total(0)), (10_000_000, 3));
}
