use super::*;
use proptest::prelude::*;
use std::os::unix::fs::FileExt;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn shop() -> ProcessContext {
    ProcessContext {
        resource: pairs(&[("service.name", "shop"), ("region", "eu"), ("empty", "")]),
        attributes: pairs(&[(ENGINE_KEY, "none")]),
        thread_keys: None,
    }
}

/// A process with one mapping of a context at 0x1000 and memory from there on.
struct Process {
    name: &'static str,
    memory: Vec<u8>,
}

const BASE: u64 = 0x1000;

impl Process {
    fn of(payload: &[u8]) -> Self {
        let mut memory = Vec::new();
        memory.extend(CONTEXT_SIGNATURE);
        memory.extend(2u32.to_ne_bytes());
        memory.extend(u32::try_from(payload.len()).unwrap().to_ne_bytes());
        memory.extend(7u64.to_ne_bytes());
        memory.extend((BASE + 32).to_ne_bytes());
        memory.extend(payload);
        Self { name: "/memfd:OTEL_CTX (deleted)", memory }
    }

    fn find(&self) -> Option<ProcessContext> {
        let maps = format!(
            "00400000-00401000 r-xp 00000000 fe:01 7  /bin/shop\n\
             00001000-00002000 rw-p 00000000 00:01 9  {}\n",
            self.name
        );
        ProcessContext::find(&maps, |address, buffer| self.read(address, buffer))
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(start) = address.checked_sub(BASE).and_then(|it| usize::try_from(it).ok()) else {
            return false;
        };
        let end = start.checked_add(buffer.len());
        let Some(bytes) = end.and_then(|end| self.memory.get(start..end)) else { return false };
        buffer.copy_from_slice(bytes);
        true
    }
}

#[test]
fn a_context_is_found_by_each_name_and_only_by_those() {
    let mut process = Process::of(&shop().encode());
    for name in ["/memfd:OTEL_CTX (deleted)", "[anon:OTEL_CTX]", "[anon_shmem:OTEL_CTX]"] {
        process.name = name;
        assert_eq!(process.find(), Some(shop()), "{name}");
    }
    process.name = "/tmp/OTEL_CTX";
    assert_eq!(process.find(), None);
}

#[test]
fn a_resource_of_earlier_publishers_is_read_too() {
    let resource = Resource { attributes: to_message(&shop().resource) };
    let context = Process::of(&resource.encode_to_vec()).find().unwrap();
    assert_eq!((context.resource, context.attributes), (shop().resource, Vec::new()));
    assert_eq!(ProcessContext::decode(&[]), Some(ProcessContext::default()));
}

#[test]
fn numbers_are_read_as_texts_and_lists_left_out() {
    let values =
        [Some(Value::Truth(true)), Some(Value::Integer(-7)), Some(Value::Float(0.5)), None];
    let attributes = values
        .into_iter()
        .zip(["a", "b", "c", "d"])
        .map(|(value, key)| KeyValue { key: key.to_owned(), value: Some(AnyValue { value }) });
    let context = Context { resource: None, attributes: attributes.collect() };
    let read = ProcessContext::decode(&context.encode_to_vec()).unwrap();
    assert_eq!(read.attributes, pairs(&[("a", "true"), ("b", "-7"), ("c", "0.5")]));
}

#[test]
fn keys_of_threads_are_read_where_their_form_is_known() {
    let keys = vec!["http.route".to_owned(), "tenant".to_owned()];
    let context = ProcessContext { thread_keys: Some(keys.clone()), ..shop() };
    let read = ProcessContext::decode(&context.encode()).unwrap();
    assert_eq!(read.thread_keys, Some(keys));
    assert!(read.attributes.contains(&(ENGINE_KEY.to_owned(), "none".to_owned())));
    let text = |text: &str| AnyValue { value: Some(Value::Text(text.to_owned())) };
    let of = |schema: &str, values: Vec<AnyValue>| {
        let list = AnyValue { value: Some(Value::List(List { values })) };
        let schema = KeyValue { key: SCHEMA_KEY.to_owned(), value: Some(text(schema)) };
        let keys = KeyValue { key: KEYS_KEY.to_owned(), value: Some(list) };
        let context = Context { resource: None, attributes: vec![keys, schema] };
        ProcessContext::decode(&context.encode_to_vec()).unwrap().thread_keys
    };
    // A number keeps what follows in its place.
    let number = AnyValue { value: Some(Value::Integer(7)) };
    assert_eq!(of("tls_v1", vec![number, text("b")]), Some(vec![String::new(), "b".to_owned()]));
    assert_eq!(of("go_pprof_labels_v1", Vec::new()), None);
    let many = vec![text("k"); 300];
    assert_eq!(of("tlsdesc_v1_dev", many).unwrap().len(), 256);
    let nested = (0..200).fold(text("x"), |inner, _| AnyValue {
        value: Some(Value::List(List { values: vec![inner] })),
    });
    let pair = KeyValue { key: "deep".to_owned(), value: Some(nested) };
    let deep = Context { resource: None, attributes: vec![pair] }.encode_to_vec();
    let refused = ProcessContext::decode(&deep).unwrap();
    assert_eq!(refused, ProcessContext::default(), "too deep to be read");
}

#[test]
fn what_is_too_much_is_cut() {
    let long = "ä".repeat(5000);
    let many: Vec<_> = (0..200).map(|n| (format!("{n}-{long}"), long.clone())).collect();
    let huge = ProcessContext { resource: many.clone(), ..ProcessContext::default() };
    assert_eq!(ProcessContext::decode(&huge.encode()), None, "beyond 64 KiB");
    let few = ProcessContext { resource: many[..2].to_vec(), ..ProcessContext::default() };
    let read = ProcessContext::decode(&few.encode()).unwrap();
    assert_eq!((read.resource[0].0.len(), read.resource[0].1.len()), (256, 4096));
    let short: Vec<_> = (0..200).map(|n| (n.to_string(), n.to_string())).collect();
    let many = ProcessContext { resource: short.clone(), ..ProcessContext::default() };
    assert_eq!(ProcessContext::decode(&many.encode()).unwrap().resource, short[..128]);
}

#[test]
fn a_header_that_is_not_whole_or_of_another_version_is_no_context() {
    let good = Process::of(&shop().encode());
    let changes: [(usize, u8); 5] = [(0, b'o'), (8, 1), (8, 3), (14, 0xff), (31, 0x7f)];
    for (at, byte) in changes {
        let mut process = Process { name: good.name, memory: good.memory.clone() };
        process.memory[at] = byte;
        assert_eq!(process.find(), None, "byte {at}");
    }
    for length in 0..good.memory.len() {
        let process = Process { name: good.name, memory: good.memory[..length].to_vec() };
        assert_eq!(process.find(), None, "{length} bytes");
    }
}

#[test]
fn a_context_that_changes_meanwhile_is_read_again() {
    let (old, new) = (Process::of(&shop().encode()), {
        let other = ProcessContext { resource: pairs(&[("service.name", "bank")]), ..shop() };
        let mut process = Process::of(&other.encode());
        process.memory[16] = 8;
        process
    });
    let maps = "00001000-00002000 rw-p 00000000 00:01 9  /memfd:OTEL_CTX (deleted)\n";
    // The payload is replaced between the first and the second look at the header.
    let mut reads = 0;
    let found = ProcessContext::find(maps, |address, buffer| {
        reads += 1;
        if reads < 3 { old.read(address, buffer) } else { new.read(address, buffer) }
    });
    assert_eq!(found.unwrap().service_name(), Some("bank"));
    // One that never settles is given up.
    let mut stamp = 0u8;
    let found = ProcessContext::find(maps, |address, buffer| {
        let read = old.read(address, buffer);
        stamp = stamp.wrapping_add(1);
        if let Some(byte) = buffer.get_mut(16).filter(|_| address == BASE) {
            *byte = stamp;
        }
        read
    });
    assert_eq!(found, None);
}

#[test]
fn a_published_context_is_found_in_the_own_process_until_it_is_withdrawn() {
    let find = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        ProcessContext::find(&maps, |address, buffer| memory.read_exact_at(buffer, address).is_ok())
    };
    assert_eq!(find(), None);
    let published = shop().publish().unwrap();
    assert_eq!(find(), Some(shop()));
    assert_eq!(shop().publish().unwrap_err().kind(), ErrorKind::Busy);
    drop(published);
    assert_eq!(find(), None);
}

#[test]
fn labels_become_attributes_as_opentelemetry_spells_them() {
    let labels = pairs(&[("service_name", "shop"), ("region", "eu")]);
    let context = ProcessContext::of_labels(&labels, "none");
    assert_eq!(context.resource, pairs(&[("service.name", "shop"), ("region", "eu")]));
    assert_eq!((context.service_name(), context.engine()), (Some("shop"), Some("none")));
}

proptest! {
    #[test]
    fn noise_is_no_context_or_a_small_one(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(context) = Process::of(&payload).find() {
            prop_assert!(context.resource.len() + context.attributes.len() <= payload.len());
        }
    }

    #[test]
    fn a_context_with_damage_is_read_within_bounds(at in 0usize..120, byte: u8) {
        let mut process = Process::of(&shop().encode());
        if let Some(target) = process.memory.get_mut(at) {
            *target = byte;
        }
        if let Some(context) = process.find() {
            prop_assert!(context.resource.len() <= 128);
        }
    }
}
