use super::*;
use crate::resolve::{Budget, Mappings, Symbols, symbols_at};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A process that sleeps, ended with the test.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sleeper {
    fn start(command: &mut Command, executable: &str) -> Self {
        let sleeper = Self(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        let link = format!("/proc/{}/exe", sleeper.pid());
        // Until the libraries are mapped too.
        loop {
            let runs = std::fs::read_link(&link).is_ok_and(|path| path.ends_with(executable));
            let maps = std::fs::read_to_string(format!("/proc/{}/maps", sleeper.pid()));
            if runs && maps.is_ok_and(|maps| maps.contains("r-xp") && maps.contains("libc.so")) {
                return sleeper;
            }
            assert!(Instant::now() < until, "{command:?} did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn sleep() -> Self {
        Self::start(Command::new("sleep").arg("100"), "sleep")
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn mappings(&self, files: &mut Files) -> Mappings {
        let mut mappings = Mappings::of(self.pid());
        assert!(mappings.refresh(files).unwrap());
        assert!(!mappings.refresh(files).unwrap());
        mappings
    }
}

fn named<'m>(mappings: &'m Mappings, end: &str) -> &'m Arc<KnownFile> {
    let file = mappings.files().find(|file| file.module.path.to_string_lossy().ends_with(end));
    file.unwrap_or_else(|| panic!("{end} is mapped"))
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sondage-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn processes_share_the_files_they_both_have() {
    let mut files = Files::default();
    let (one, two) = (Sleeper::sleep(), Sleeper::sleep());
    let (of_one, of_two) = (one.mappings(&mut files), two.mappings(&mut files));
    let libc = named(&of_one, "libc.so.6");
    assert_eq!(libc.index, named(&of_two, "libc.so.6").index);
    assert_eq!(named(&of_one, "sleep").index, named(&of_two, "sleep").index);
    assert_eq!(named(&of_one, "[vdso]").index, named(&of_two, "[vdso]").index);
    assert!(libc.eh_frame > 0 && libc.module.build_id.is_some());

    let index = libc.index;
    drop(of_one);
    assert_eq!(files.drop_unused(), Vec::new());
    drop(of_two);
    assert!(files.drop_unused().contains(&index) && files.get(index).is_none());
    assert_eq!(files.iter().count(), 0);
    let again = one.mappings(&mut files);
    assert_ne!(named(&again, "libc.so.6").index, index, "a number means one file for good");
}

#[test]
fn addresses_of_another_process_have_names() {
    let sleeper = Sleeper::sleep();
    let mappings = sleeper.mappings(&mut Files::default());
    let libc = named(&mappings, "libc.so.6");
    let mut symbols = Symbols::new(Budget::default());
    // Some function that the table of exported symbols names.
    let image = libc.open().unwrap();
    let text = libc.segments.iter().find(|segment| segment.is_executable()).unwrap();
    let addresses: Vec<u64> =
        (text.address..text.address + text.memory_size).step_by(512).collect();
    let found = symbols_at(&image, &addresses).unwrap();
    let (address, symbol) =
        addresses.iter().zip(found).find_map(|(at, it)| Some((*at, it?))).unwrap();
    let named = symbols.resolve(&libc.module, &[address]).remove(0);
    assert_eq!(&*named.frames[0].system_name, &*symbol.name);
    let module = mappings.of_file(libc.index).next().unwrap();
    assert_eq!(mappings.find(address + module.bias).unwrap().file, libc.index);
    assert_eq!(module.bias % 4096, 0);
}

#[test]
fn a_deleted_file_is_read_as_long_as_anyone_knows_it() {
    let folder = folder("deleted-file");
    let copy = folder.join("sleeps");
    std::fs::copy("/bin/sleep", &copy).unwrap();
    let sleeper = Sleeper::start(Command::new(&copy).arg("100"), "sleeps");
    std::fs::remove_file(&copy).unwrap();
    // Another file at its place is not taken for it.
    std::fs::copy("/bin/true", &copy).unwrap();
    let mut files = Files::default();
    let mappings = sleeper.mappings(&mut files);
    let file = named(&mappings, "sleeps").clone();
    let original = Image::open(Path::new("/bin/sleep"), None).unwrap();
    if !is_root() {
        eprintln!("skipped: without root, mapped files that are deleted are not reached");
        return;
    }
    assert_eq!(file.module.build_id, original.build_id());
    drop((sleeper, mappings));
    assert_eq!(file.open().unwrap().build_id(), original.build_id());
    assert_eq!(files.held, 1);
    drop(file);
    files.drop_unused();
    assert_eq!(files.held, 0);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_of_another_mount_namespace_are_read_there() {
    if !is_root() {
        eprintln!("skipped: making a mount namespace takes root");
        return;
    }
    let folder = folder("mount-namespace");
    for name in ["there", "seen"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::copy("/bin/sleep", folder.join("there/sleeps")).unwrap();
    // What stands at the same path here is something else.
    std::fs::copy("/bin/true", folder.join("seen/sleeps")).unwrap();
    let script = "mount --bind there seen && exec \"$PWD/seen/sleeps\" 100";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).current_dir(&folder);
    let sleeper = Sleeper::start(&mut command, "sleeps");
    let mut files = Files::default();
    let mappings = sleeper.mappings(&mut files);
    let file = named(&mappings, "seen/sleeps");
    let original = Image::open(Path::new("/bin/sleep"), None).unwrap();
    assert_eq!(file.module.build_id, original.build_id());
    let mut by_root = file.module.clone();
    let reach = by_root.reach.as_mut().unwrap();
    assert!(reach.held.take().is_some());
    reach.range = 0..1;
    assert_eq!(by_root.open().unwrap().build_id(), original.build_id(), "under its root");
    // The others of the process are the ones of this namespace.
    let of_other = Sleeper::sleep().mappings(&mut files);
    assert_eq!(named(&mappings, "libc.so.6").index, named(&of_other, "libc.so.6").index);
    drop(sleeper);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_process_that_is_gone_is_an_error_and_the_list_stays() {
    let sleeper = Sleeper::sleep();
    let mut files = Files::default();
    let mut mappings = sleeper.mappings(&mut files);
    let count = mappings.iter().count();
    drop(sleeper);
    assert!(mappings.refresh(&mut files).is_err());
    assert_eq!(mappings.iter().count(), count);
}

#[test]
fn no_more_files_are_remembered_than_the_limit() {
    let sleeper = Sleeper::sleep();
    let mut files = Files::with_limit(2);
    let mappings = sleeper.mappings(&mut files);
    assert_eq!(files.iter().count(), 2);
    assert!(mappings.last_error.as_deref().unwrap().contains("more than 2"));
    drop(mappings);
    let again = sleeper.mappings(&mut files);
    assert_eq!(again.files().count(), 2, "those of before made room");
}
