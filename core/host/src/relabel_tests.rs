use super::*;

/// `key=value` pairs separated by commas and blanks.
fn labels(text: &str) -> Labels {
    let pairs = text.split(", ").filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).collect()
}

/// Fields separated by ` | `: `action=replace | source_labels=a b | regex=…`.
fn rule(text: &str) -> RuleText {
    let mut rule = RuleText::default();
    for field in text.split(" | ") {
        let (name, value) = field.split_once('=').unwrap();
        let value = value.to_owned();
        match name {
            "action" => rule.action = Some(value),
            "from" => rule.source_labels = Some(value.split(' ').map(str::to_owned).collect()),
            "separator" => rule.separator = Some(value),
            "regex" => rule.regex = Some(value),
            "modulus" => rule.modulus = Some(value.parse().unwrap()),
            "to" => rule.target_label = Some(value),
            "with" => rule.replacement = Some(value),
            _ => panic!("{name}"),
        }
    }
    rule
}

fn apply(before: &str, rules: &[&str]) -> Option<Labels> {
    let rules: Vec<RuleText> = rules.iter().map(|text| rule(text)).collect();
    let mut labels = labels(before);
    Rules::compile(&rules).unwrap().apply(&mut labels).then_some(labels)
}

fn changes(before: &str, rules: &[&str], after: &str) {
    assert_eq!(apply(before, rules), Some(labels(after)), "{before} by {rules:?}");
}

fn drops(before: &str, rules: &[&str]) {
    assert_eq!(apply(before, rules), None, "{before} by {rules:?}");
}

#[test]
fn replace_sets_what_the_pattern_found() {
    changes(
        "pod=shop-7f",
        &["from=pod | regex=(.*)-(.*) | to=app | with=${1}_${1}"],
        "pod=shop-7f, app=shop_shop",
    );
    // Several labels are joined; a missing one is empty.
    changes("a=x, b=y", &["from=a b c | to=d"], "a=x, b=y, d=x;y;");
    changes("a=x, b=y", &["from=a b | separator=/ | to=d"], "a=x, b=y, d=x/y");
    // The pattern matches from end to end, alternatives too.
    changes("a=foobar", &["from=a | regex=foo|bar | to=d | with=hit"], "a=foobar");
    changes("a=bar", &["from=a | regex=foo|bar | to=d | with=hit"], "a=bar, d=hit");
    // One rule sees what those before it did.
    changes("a=1", &["from=a | to=b", "from=b | to=c"], "a=1, b=1, c=1");
    // A dot matches a line feed, as since Prometheus 3.
    changes("a=x\ny", &["from=a | to=b"], "a=x\ny, b=x\ny");
    // Without sources the text is empty, and the default pattern matches that.
    changes("a=1", &["to=b | with=constant"], "a=1, b=constant");
}

#[test]
fn nothing_to_set_removes_the_label() {
    changes("a=1, b=2", &["from=a | to=b | with="], "a=1");
    changes("a=1, b=2", &["from=a | regex=(.*) | to=b | with=$2"], "a=1");
    changes("a=1, b=2", &["from=a | regex=9 | to=b | with="], "a=1, b=2");
}

#[test]
fn references_are_those_of_go() {
    for (with, expected) in [
        ("$1", "x"),
        ("${1}y", "xy"),
        ("$1y", ""),
        ("$1-y", "x-y"),
        ("${word}", "x"),
        ("$word.", "x."),
        ("$0", "x7"),
        ("$00", ""),
        ("$9", ""),
        ("$$1", "$1"),
        ("a$", "a$"),
        ("${}", "${}"),
        ("${1", "${1"),
        ("${a b}", "${a b}"),
        ("$-", "$-"),
    ] {
        let after = format!("a=x7, d={expected}");
        let rule = format!("from=a | regex=(?P<word>[a-z])(\\d) | to=d | with={with}");
        changes("a=x7", &[&rule], &after);
    }
}

#[test]
fn a_target_can_be_found_too() {
    changes(
        "a=name-value",
        &["from=a | regex=(.*)-(.*) | to=${1} | with=$2"],
        "a=name-value, name=value",
    );
    changes("a=x-0", &["from=a | regex=(.*)-(.*) | to=l_$2 | with=$1"], "a=x-0, l_0=x");
    // What is no label name is not set.
    changes("a=x-0", &["from=a | regex=(.*)-(.*) | to=${2} | with=$1"], "a=x-0");
    changes("a=x-0", &["from=a | regex=(.*)-(.*) | to=${3} | with=$1"], "a=x-0");
}

#[test]
fn keep_and_drop_decide_about_the_process() {
    drops("a=foo", &["action=drop | from=a | regex=.*o.*"]);
    changes("a=foo", &["action=drop | from=a | regex=f|o"], "a=foo");
    drops("a=foo", &["action=keep | from=a | regex=oo"]);
    changes("a=foo", &["action=Keep | from=a | regex=f.*"], "a=foo");
    drops("a=foo", &["action=drop | from=missing | regex="]);
    changes("a=foo", &["action=drop | from=a | regex="], "a=foo");
    // A line feed in a name is no way around a rule.
    drops("a=evil\nx", &["action=drop | from=a | regex=evil.*"]);
}

#[test]
fn labels_are_compared() {
    changes("a=1, b=1", &["action=keepequal | from=a | to=b"], "a=1, b=1");
    drops("a=1, b=2", &["action=keepequal | from=a | to=b"]);
    drops("a=1, b=1", &["action=dropequal | from=a | to=b"]);
    changes("a=1, b=2", &["action=dropequal | from=a | to=b"], "a=1, b=2");
    drops("a=1", &["action=dropequal | from=x | to=y"]);
    changes("a=1, b=2, c=1;2", &["action=keepequal | from=a b | to=c"], "a=1, b=2, c=1;2");
}

#[test]
fn shares_are_those_of_prometheus() {
    // The values of Prometheus' own tests.
    changes("c=baz", &["action=hashmod | from=c | to=d | modulus=1000"], "c=baz, d=976");
    changes("a=foo\nbar", &["action=hashmod | from=a | to=b | modulus=1000"], "a=foo\nbar, b=734");
}

#[test]
fn names_are_mapped_dropped_and_kept() {
    changes(
        "a=1, b1=2, b2=3",
        &["action=labelmap | regex=(b.*) | with=x_${1}"],
        "a=1, b1=2, b2=3, x_b1=2, x_b2=3",
    );
    changes(
        "__meta_my_bar=1, __meta_other=2",
        &["action=labelmap | regex=__meta_(my.*)"],
        "__meta_my_bar=1, __meta_other=2, my_bar=1",
    );
    // Labels that a mapping makes are not mapped by it again.
    changes("a=1", &["action=labelmap | regex=(.*) | with=x${1}"], "a=1, xa=1");
    changes("a=1, b=2", &["action=labelmap | regex=(.*) | with=same"], "a=1, b=2, same=2");
    changes("x_1=1", &["action=labelmap | regex=x_(.*)"], "x_1=1");
    changes("a=1, b1=2, b2=3", &["action=labelkeep | regex=b.*"], "b1=2, b2=3");
    changes("a=1, b1=2, b2=3", &["action=labeldrop | regex=b.*"], "a=1");
    changes("port_name=x, port=9", &["action=labeldrop | regex=^port_name$"], "port=9");
}

#[test]
fn letters_change_their_case() {
    changes(
        "a=bAr1É",
        &["action=lowercase | from=a | to=l", "action=uppercase | from=a | to=u"],
        "a=bAr1É, l=bar1é, u=BAR1É",
    );
    changes("l=x", &["action=lowercase | from=a | to=l"], "");
    // Letter by letter, as Go does it.
    let rules = ["action=uppercase | from=a | to=u", "action=lowercase | from=b | to=l"];
    changes("a=straße, b=ΟΣ", &rules, "a=straße, b=ΟΣ, u=STRAßE, l=οσ");
}

#[test]
fn a_chain_for_kubernetes_reads_as_in_prometheus() {
    let before = "__meta_kubernetes_namespace=shop, __meta_kubernetes_pod_container_name=app, \
                  __meta_kubernetes_pod_label_app=cart, __meta_kubernetes_pod_annotation_profile=true";
    let rules = [
        "action=keep | from=__meta_kubernetes_pod_annotation_profile | regex=true",
        "from=__meta_kubernetes_namespace __meta_kubernetes_pod_container_name | separator=/ | to=service_name",
        "action=labelmap | regex=__meta_kubernetes_pod_label_(.+)",
        "from=__tmp | regex= | to=__tmp | with=x",
        "from=__tmp | to=tmp",
    ];
    let found = apply(before, &rules).unwrap().into_final();
    assert_eq!(found, labels("app=cart, service_name=shop/app, tmp=x"));
}

#[test]
fn wrong_rules_are_refused_with_a_reason() {
    for (text, part) in [
        ("from=a", "replace needs target_label"),
        ("action=lowercase | from=a", "lowercase needs target_label"),
        ("action=lowercase | from=a | to=${3}", "is not a label name"),
        ("from=a | to=0${3}", "is not a label name with references"),
        ("from=a | to=-${3}", "is not a label name with references"),
        ("from=a | to=a-b", "is not a label name"),
        ("from=a-b | to=a", "source_labels"),
        ("action=hashmod | from=a | to=b", "needs a modulus"),
        ("action=hashmod | from=a | to=b | modulus=0", "needs a modulus"),
        ("action=labelmap | regex=(.*) | with=-$1", "replacement"),
        ("action=labeldrop | regex=a | from=b", "takes no source_labels"),
        ("action=labelkeep | regex=a | with=b", "takes no replacement"),
        ("action=keepequal | from=a | to=b | regex=x", "takes no regex"),
        ("action=uppercase | from=a | to=b | with=x", "takes no replacement"),
        ("action=labeldorp | regex=a", "did you mean labeldrop?"),
        ("action=zzz", "allowed: replace, keep"),
        ("from=a | to=b | regex=(", "regex"),
        ("from=a | to=b | regex=a)|(b", "regex"),
        ("from=a | to=b | regex=\\p{L}+", "regex"),
        ("from=a | to=b | regex=(?si:é)", "beyond ASCII"),
        ("from=a | to=b | regex=(x{1000}){1000}", "regex"),
    ] {
        let (at, error) = Rules::compile(&[rule("action=keep"), rule(text)]).unwrap_err();
        assert!(at == 1 && error.contains(part), "{text}: {error}");
    }
    for to in
        ["label", "label${1}", "${1}label", "${1}", "$1", "asd$2asd", "_${1}_", "foo${bar}foo"]
    {
        assert!(Rules::compile(&[rule(&format!("from=a | to={to}"))]).is_ok(), "{to}");
    }
    for to in ["-label", "${", "$", "${}", "foo${", "-foo${1}bar-"] {
        assert!(Rules::compile(&[rule(&format!("from=a | to={to}"))]).is_err(), "{to}");
    }
    assert!(Rules::compile(&vec![rule("action=keep"); MAX_RULES + 1]).is_err());
}

#[test]
fn labels_are_bounded() {
    let mut found = Labels::default();
    (0..1000).for_each(|n| found.set(format!("l{n:04}"), "é".repeat(4000)));
    assert_eq!(found.iter().count(), MAX_LABELS);
    found.set("n".repeat(129), "x");
    found.set("service_name", "");
    found.set("l0000", "short");
    let lost = found.lost();
    assert!(lost >= 1000 - 256, "{lost}");
    let mut found = found.into_final();
    assert_eq!(found.iter().count(), MAX_FINAL_LABELS);
    assert!(found.iter().all(|(_, value)| value.len() <= MAX_VALUE) && found.lost() > lost);
    found.set("service_name", "shop");
    assert_eq!(found.into_final().get("service_name"), "shop");
    let doubled: Vec<RuleText> =
        (0..MAX_RULES).map(|_| rule("from=a | to=a | with=$1$1$1$1")).collect();
    let mut bomb = labels("a=x");
    assert!(Rules::compile(&doubled).unwrap().apply(&mut bomb));
    assert_eq!(bomb.get("a").len(), MAX_WORKING_VALUE);
}
