//! Scripts with their maps, as compilers write them, and files that no compiler wrote.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::ScriptText;
use super::SourceMaps;
use super::map::Map;
use super::map::Original;
use crate::resolve::v8::LineIndex;

/// `tsc --inlineSourceMap` of TypeScript 5, target es2020. The original begins:
/// ```text
///  7 export class Cart {
///  8   private readonly items: Item[] = [];
/// 10   add(item: Item): this {
/// 15   total(rate: number = 0.19): number {
/// 16     const net = this.items.reduce((sum, { price }) => sum + price, 0);
/// 17     return net * (1 + rate);
/// ```
const COMPILED: &str = r#""use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.Cart = void 0;
/** What a customer is about to buy. */
class Cart {
    constructor() {
        this.items = [];
    }
    add(item) {
        this.items.push(item);
        return this;
    }
    total(rate = 0.19) {
        const net = this.items.reduce((sum, { price }) => sum + price, 0);
        return net * (1 + rate);
    }
}
exports.Cart = Cart;
//# sourceMappingURL=data:application/json;base64,"#;
const COMPILED_MAP: &str = concat!(
    "eyJ2ZXJzaW9uIjozLCJmaWxlIjoiY2FydC5qcyIsInNvdXJjZVJvb3QiOiIiLCJzb3VyY2VzIjpbIi4uL3Ny",
    "Yy9jYXJ0LnRzIl0sIm5hbWVzIjpbXSwibWFwcGluZ3MiOiI7OztBQUtBLHVDQUF1QztBQUN2QyxNQUFhLElB",
    "QUk7SUFBakI7UUFDbUIsVUFBSyxHQUFXLEVBQUUsQ0FBQztJQVd0QyxDQUFDO0lBVEMsR0FBRyxDQUFDLElB",
    "QVU7UUFDWixJQUFJLENBQUMsS0FBSyxDQUFDLElBQUksQ0FBQyxJQUFJLENBQUMsQ0FBQztRQUN0QixPQUFP",
    "LElBQUksQ0FBQztJQUNkLENBQUM7SUFFRCxLQUFLLENBQUMsT0FBZSxJQUFJO1FBQ3ZCLE1BQU0sR0FBRyxH",
    "QUFHLElBQUksQ0FBQyxLQUFLLENBQUMsTUFBTSxDQUFDLENBQUMsR0FBRyxFQUFFLEVBQUUsS0FBSyxFQUFF",
    "LEVBQUUsRUFBRSxDQUFDLEdBQUcsR0FBRyxLQUFLLEVBQUUsQ0FBQyxDQUFDLENBQUM7UUFDbEUsT0FBTyxH",
    "QUFHLEdBQUcsQ0FBQyxDQUFDLEdBQUcsSUFBSSxDQUFDLENBQUM7SUFDMUIsQ0FBQztDQUNGO0FBWkQsb0JB",
    "WUMifQ==",
);

/// `esbuild --bundle --minify --sourcemap` of the same and of the program that uses it.
const BUNDLE: &str = concat!(
    r#"var r=class{items=[];add(t){return this.items.push(t),this}total(t=.19){return t"#,
    r#"his.items.reduce((i,{price:m})=>i+m,0)*(1+t)}};function o(n){let t=new r;for(let"#,
    r#" e=0;e<n;e++)t.add({name:`\xE9\u{1F40D} item ${e}`,price:e}).total();return t.to"#,
    r#"tal()}console.log(o(3));"#,
    "\n//# sourceMappingURL=bundle.js.map\n",
);
const BUNDLE_MAP: &str = concat!(
    r#"{"version": 3, "sources": ["../src/cart.ts", "../src/index.ts"],"#,
    r#""names": ["Cart","item","rate","sum","price","checkout","count","cart","Cart","i"],"#,
    r#""mappings": ""#,
    "AAMO,IAAMA,EAAN,KAAW,CACC,MAAgB,CAAC,EAElC,IAAIC,EAAkB,CACpB,YAAK,MAAM,KAAKA,CAAI,EACb,I",
    "ACT,CAEA,MAAMC,EAAe,IAAc,CAEjC,OADY,KAAK,MAAM,OAAO,CAACC,EAAK,CAAE,MAAAC,CAAM,IAAMD,EAAM",
    "C,EAAO,CAAC,GAClD,EAAIF,EACpB,CACF,EChBA,SAASG,EAASC,EAAuB,CACvC,IAAMC,EAAO,IAAIC,EACjB,",
    "QAASC,EAAI,EAAGA,EAAIH,EAAOG,IACzBF,EAAK,IAAI,CAAE,KAAM,sBAAYE,CAAC,GAAI,MAAOA,CAAE,CAAC",
    ",EAAE,MAAM,EAEtD,OAAOF,EAAK,MAAM,CACpB,CAEA,QAAQ,IAAIF,EAAS,CAAC,CAAC",
    "\"}"
);

/// A folder that is gone with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sondage-source-maps-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `FILE:LINE` or `FILE:LINE NAME` of an original, its file within `folder`.
fn shown(folder: &str, original: Option<Original>) -> Option<String> {
    let Original { file, line, name } = original?;
    let file = file.strip_prefix(folder).unwrap_or(&file);
    Some(name.map_or(format!("{file}:{line}"), |name| format!("{file}:{line} {name}")))
}

fn in_file(url: &str) -> ScriptText<'_> {
    ScriptText { url, text: None }
}

/// A script in memory that names its map so.
fn naming(map: &str) -> String {
    format!("f()\n//# sourceMappingURL={map}\n")
}

/// Where line 1, column 1 of a script comes from, by what the files are now.
fn start(maps: &mut SourceMaps, url: &str, text: Option<&str>) -> Option<String> {
    maps.look_again();
    shown("", maps.original(&ScriptText { url, text }, 0, 0))
}

fn simple(source: &str) -> String {
    format!(r#"{{"version":3,"sources":["{source}"],"mappings":"AAAA"}}"#)
}

#[test]
fn typescript_compiled_in_memory_is_seen_as_it_was_written() {
    let text = format!("{COMPILED}{COMPILED_MAP}");
    let index = LineIndex::new(&text);
    let lines: [(&str, Option<&str>); 7] = [
        ("exports.Cart = void 0", None),
        ("class Cart", Some("/app/src/cart.ts:7")),
        ("this.items = []", Some("/app/src/cart.ts:8")),
        ("add(item)", Some("/app/src/cart.ts:10")),
        ("total(rate", Some("/app/src/cart.ts:15")),
        ("reduce((sum", Some("/app/src/cart.ts:16")),
        ("net * (1 + rate)", Some("/app/src/cart.ts:17")),
    ];
    let position = |code: &str| index.position(text.find(code).unwrap() as u32).unwrap();
    let positions = lines.map(|(code, _)| position(code));
    for url in ["file:///app/dist/cart.js", "/app/dist/cart.js", "file:///app/dist/cart.js?x=1"] {
        let mut maps = SourceMaps::default();
        let script = ScriptText { url, text: Some(&text) };
        let found = maps.originals(&script, &positions).into_iter().map(|it| shown("", it));
        let expected = lines.map(|(_, original)| original.map(str::to_owned));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(maps.last_error(), None);
    }
    let nowhere = ScriptText { url: "evalmachine.<anonymous>", text: Some(&text) };
    let found = SourceMaps::default().original(&nowhere, 4, 0);
    assert_eq!(shown("", found).as_deref(), Some("../src/cart.ts:7"));
}

#[test]
fn a_minified_bundle_on_disk_gets_its_lines_and_names_back() {
    let folder = Folder::new();
    let script = folder.write("dist/bundle.js", BUNDLE);
    folder.write("dist/bundle.js.map", BUNDLE_MAP);
    let places = [
        ("r=class", "/src/cart.ts:7 Cart"),
        ("add(t)", "/src/cart.ts:10"),
        ("this.items.push", "/src/cart.ts:11"),
        ("total(t=", "/src/cart.ts:15"),
        ("i+m", "/src/cart.ts:16 sum"),
        ("o(n)", "/src/index.ts:3 checkout"),
        ("new r", "/src/index.ts:4"),
        ("e}),total".get(..2).unwrap(), "/src/index.ts:6 i"),
        ("console.log", "/src/index.ts:11"),
        ("o(3)", "/src/index.ts:11 checkout"),
    ];
    let positions = places.map(|(code, _)| (0, BUNDLE.find(code).unwrap() as u32));
    let mut maps = SourceMaps::default();
    for url in [format!("file://{script}"), script] {
        let found = maps.originals(&in_file(&url), &positions).into_iter();
        let found: Vec<_> = found.map(|it| shown(&folder.path(""), it).unwrap()).collect();
        assert_eq!(found, places.map(|(_, original)| original.trim_start_matches('/')));
        assert_eq!(maps.last_error(), None);
    }
}

#[test]
fn what_has_no_map_is_no_error() {
    let folder = Folder::new();
    let plain = folder.write("plain.js", "f()\n");
    let mut maps = SourceMaps::default();
    for url in [&plain, "", "node:internal/fs", "evalmachine.<anonymous>", "/gone.js", "/tmp\0x"] {
        assert_eq!(start(&mut maps, url, None), None);
        assert_eq!(start(&mut maps, url, Some("f()\n")), None);
    }
    assert_eq!(start(&mut maps, &"x".repeat(5_000), Some(&naming("data:,{}"))), None);
    assert_eq!(maps.last_error().filter(|error| !error.contains("NUL")), None);
}

#[test]
fn errors_say_in_a_sentence_which_map_could_not_be_used_and_why() {
    let folder = Folder::new();
    let mut maps = SourceMaps::default();
    let mut error = |url: &str, map: &str| {
        assert_eq!(start(&mut maps, url, Some(&naming(map))), None);
        maps.last_error().unwrap().replace(&folder.path(""), "DIR/")
    };
    let script = folder.path("a.js");
    let broken = folder.write("b.map", "{\"version\":3,");
    assert_eq!(
        error(&script, "a.map"),
        "the source map DIR/a.map: cannot look at the file: No such file or directory (os error 2)"
    );
    assert_eq!(
        error(&script, &broken),
        "the source map DIR/b.map: no source map: line 1, column 13"
    );
    assert_eq!(
        error(&script, "https://cdn/a.map"),
        "the source map of DIR/a.js: it is no file, and nothing is fetched: https://cdn/a.map"
    );
    assert_eq!(
        error("eval", "a.map"),
        "the source map of eval: the script is no file beside which it could be: a.map"
    );
    assert_eq!(
        error("eval", "data:application/json;base64,!"),
        "the source map in eval: the data URL is not base64"
    );
}

#[test]
fn a_map_that_could_not_be_used_is_not_tried_again_until_it_changes() {
    let folder = Folder::new();
    let script = folder.write("a.js", naming("a.map"));
    let mut maps = SourceMaps::default();
    assert_eq!(start(&mut maps, &script, None), None, "no such file");
    let good = simple("/src/a.ts");
    let map = folder.write("a.map", "x".repeat(good.len()));
    assert_eq!(start(&mut maps, &script, None), None, "no JSON");
    assert!(maps.last_error().unwrap().contains("line 1"), "it was looked at again");

    let touch = |time| File::options().append(true).open(&map)?.set_modified(time);
    let before = std::fs::metadata(&map).unwrap().modified().unwrap();
    folder.write("a.map", &good);
    touch(before).unwrap();
    assert_eq!(start(&mut maps, &script, None), None, "as far as one sees it is the same file");
    touch(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(start(&mut maps, &script, None).as_deref(), Some("/src/a.ts:1"));
}

#[test]
fn changed_maps_and_scripts_are_read_again() {
    let folder = Folder::new();
    let script = folder.write("a.js", naming("a.map"));
    folder.write("a.map", simple("/src/a.ts"));
    folder.write("b.map", simple("/src/bb.ts"));
    let mut maps = SourceMaps::default();
    for _ in 0..2 {
        assert_eq!(start(&mut maps, &script, None).as_deref(), Some("/src/a.ts:1"));
    }
    folder.write("a.map", simple("/src/aaa.ts"));
    assert_eq!(start(&mut maps, &script, None).as_deref(), Some("/src/aaa.ts:1"));
    folder.write("a.js", naming("./b.map"));
    assert_eq!(start(&mut maps, &script, None).as_deref(), Some("/src/bb.ts:1"));
    std::fs::remove_file(folder.path("b.map")).unwrap();
    assert_eq!(start(&mut maps, &script, None), None);

    for source in ["/src/1.ts", "/src/2.ts"] {
        let text = naming(&format!("data:,{}", simple(source).replace('"', "%22")));
        assert_eq!(start(&mut maps, "", Some(&text)), Some(format!("{source}:1")));
    }
}

#[test]
fn only_regular_files_of_bounded_size_are_opened() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    nix::unistd::mkfifo(Path::new(&fifo), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let huge = folder.path("huge");
    File::create(&huge).unwrap().set_len(33 << 20).unwrap();
    let link = folder.path("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let (it, directory) = (folder.path("link/x"), folder.path(""));
    let mut maps = SourceMaps::default();
    for map in ["/dev/zero", "/dev/tty", "/proc/self/mem", &fifo, &huge, &link, &it, &directory] {
        assert_eq!(start(&mut maps, "/app/a.js", Some(&naming(map))), None, "{map}");
        assert!(maps.last_error().unwrap().contains(map.trim_end_matches('/')), "{map}");
        // The same in the place of the script.
        assert_eq!(start(&mut maps, map, None), None, "{map}");
    }
    folder.write("long.js", [b'x'; 300_000]);
    File::options().append(true).open(folder.path("long.js")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(start(&mut maps, &folder.path("long.js"), None), None);
}

#[test]
fn a_map_too_big_to_keep_serves_who_asks_first() {
    let folder = Folder::new();
    let lines = 1_000_000;
    let mappings = format!("AAAA{}", ";AACA".repeat(lines));
    let map = format!(r#"{{"sources":["/a.ts"],"mappings":"{mappings}"}}"#);
    folder.write("a.map", map);
    let script = folder.write("a.js", naming("a.map"));
    let mut maps = SourceMaps::default();
    let positions = [(0, 0), (999_999, 5), (1_000_001, 0)];
    let mut ask = || {
        let found = maps.originals(&in_file(&script), &positions).into_iter();
        found.map(|it| shown("", it)).collect::<Vec<_>>()
    };
    assert_eq!(ask(), [Some("/a.ts:1".into()), Some("/a.ts:1000000".into()), None]);
    assert_eq!(ask(), [None, None, None]);
    assert!(maps.bytes() < 1_000, "{}", maps.bytes());
    assert!(maps.last_error().unwrap().ends_with("its source map is too large to keep"));
}

/// Numbers that look random and are the same in every run (xorshift).
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

#[test]
fn maps_with_any_bytes_changed_give_answers_or_errors() {
    let section = |map: &str| format!(r#"{{"offset":{{"line":0,"column":3}},"map":{map}}}"#);
    let sections = format!(r#"{{"sections":[{0},{0}]}}"#, section(BUNDLE_MAP));
    let positions: Vec<_> = (0..3).flat_map(|line| (0..300).map(move |at| (line, at))).collect();
    let mut number = numbers(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for round in 0..6_000 {
        let mut json = [BUNDLE_MAP, &sections][round % 2].as_bytes().to_vec();
        for _ in 0..=number(3) {
            let at = number(json.len());
            match number(6) {
                0 => json[at] ^= 1 << number(8),
                1 | 2 if json[at].is_ascii_uppercase() => json[at] = b'A' + number(26) as u8,
                3 => json[at] = b",;A/+9\"{}[]:\\\xff"[number(14)],
                4 => drop(json.remove(at)),
                _ => json.insert(at, number(256) as u8),
            }
        }
        if let Ok(map) = Map::parse(&json, Some("/app")) {
            assert_eq!(map.originals(&positions).len(), positions.len());
            read += 1;
        }
    }
    assert!((500..5_500).contains(&read), "{read} of 6000 were read");
}

#[test]
fn scripts_with_any_bytes_changed_give_answers_or_errors() {
    let text = format!("{COMPILED}{COMPILED_MAP}");
    let mut number = numbers(1);
    let mut maps = SourceMaps::default();
    for _ in 0..3_000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=number(3) {
            let at = number(bytes.len());
            bytes[at] = number(256) as u8;
        }
        let text = String::from_utf8_lossy(&bytes);
        let script = ScriptText { url: "/app/dist/a.js", text: Some(&text) };
        let _ = maps.originals(&script, &[(4, 0), (13, 40), (u32::MAX, u32::MAX)]);
    }
}
