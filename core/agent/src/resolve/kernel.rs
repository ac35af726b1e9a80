//! Names of the kernel's functions, from `/proc/kallsyms`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Functions of the kernel and its modules that are remembered.
const MAX_FUNCTIONS: usize = 1 << 20;

/// How long a list is good for before an address beyond it has it read again.
const FRESH: Duration = Duration::from_secs(300);

/// Where the kernel's own code is called to be.
const KERNEL: &str = "[kernel]";

/// The functions of the running kernel and its modules. Some 6 MiB, read when first asked for.
#[derive(Debug, Default)]
pub(super) struct KernelSymbols {
    /// Where each begins, less `base`, in order.
    starts: Vec<u32>,
    /// Where the name of each begins in `texts`.
    names: Vec<u32>,
    texts: String,
    base: u64,
    read: Option<Instant>,
}

impl KernelSymbols {
    /// The function at an address, and the module that it is in. `None` where the kernel does not
    /// tell: it shows addresses to those alone who have CAP_SYSLOG, or as `kernel.kptr_restrict`
    /// says.
    pub(super) fn name(&mut self, address: u64) -> Option<(Arc<str>, Arc<str>)> {
        if self.read.is_none_or(|read| read.elapsed() > FRESH) {
            *self = read(Path::new("/proc/kallsyms"));
        }
        let offset = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let number = self.starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        let start = *self.names.get(number)? as usize;
        let end = self.names.get(number + 1).map_or(self.texts.len(), |end| *end as usize);
        let text = self.texts.get(start..end)?;
        let (name, module) = text.split_once('\t').unwrap_or((text, KERNEL));
        Some((Arc::from(name), Arc::from(module)))
    }
}

fn read(path: &Path) -> KernelSymbols {
    let mut functions: Vec<(u64, String)> = Vec::new();
    if let Ok(file) = File::open(path) {
        let lines = BufReader::with_capacity(1 << 16, file).lines().map_while(Result::ok);
        functions.extend(lines.filter_map(|line| function(&line)).take(MAX_FUNCTIONS));
    }
    functions.sort_by_key(|function| function.0);
    let base = functions.first().map_or(0, |function| function.0);
    let mut symbols = KernelSymbols { base, read: Some(Instant::now()), ..Default::default() };
    for (address, name) in functions {
        // What lies more than 4 GiB above is no code.
        let Ok(start) = u32::try_from(address - base) else { break };
        symbols.starts.push(start);
        symbols.names.push(symbols.texts.len() as u32);
        symbols.texts.push_str(&name);
    }
    symbols
}

/// `ffffffff81000000 T do_syscall_64` or, of a module, `… t nf_hook_slow [nf_tables]`.
fn function(line: &str) -> Option<(u64, String)> {
    let mut parts = line.split_ascii_whitespace();
    let address = u64::from_str_radix(parts.next()?, 16).ok().filter(|address| *address != 0)?;
    let kind = parts.next()?;
    if !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    let name = parts.next()?.to_owned();
    Some((address, parts.next().map_or(name.clone(), |module| format!("{name}\t{module}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_name_of_the_function_that_begins_before_it() {
        let text = "ffffffff81000000 T _text\nffffffff81000100 t second\n\
                    ffffffff81000080 D data\nffffffffc0000000 t inner\t[module]\n\
                    0000000000000000 T hidden\nnonsense\n";
        let path = std::env::temp_dir().join(format!("sondage-kallsyms-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let mut symbols = read(&path);
        std::fs::remove_file(path).unwrap();
        let mut name = |address| {
            let (name, module) = symbols.name(address)?;
            Some(format!("{name} {module}"))
        };
        assert_eq!(name(0xffff_ffff_8100_00ff).as_deref(), Some("_text [kernel]"));
        assert_eq!(name(0xffff_ffff_8100_0100).as_deref(), Some("second [kernel]"));
        assert_eq!(name(0xffff_ffff_c000_1234).as_deref(), Some("inner [module]"));
        assert_eq!(name(0xffff_ffff_8000_0000), None);
    }
}
