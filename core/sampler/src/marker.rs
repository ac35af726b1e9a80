//! A named page that tells other copies of this crate in the process that one is running.

use crate::arch;
use crate::errno::check;
use core::ffi::CStr;
use core::ptr;

/// The name of the page in `/proc/self/maps` starts with this, followed by the process id (a
/// forked child inherits the page) and the version.
pub const MARKER_PREFIX: &str = "/memfd:sondage-agent:";

const LEN: usize = 4096;

/// The page; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Marker {
    page: *mut libc::c_void,
}

impl Marker {
    /// Maps the page. `None` where the kernel refuses, which costs only the mutual recognition.
    pub(crate) fn place() -> Option<Self> {
        let mut name = [0u8; 64];
        write_name(&mut name)?;
        let name = CStr::from_bytes_until_nul(&name).ok()?;
        let args = [name.as_ptr() as usize, libc::MFD_CLOEXEC as usize, 0, 0];
        // SAFETY: the name is a C string that outlives the call.
        let file = check(unsafe { arch::syscall(libc::SYS_memfd_create, args) }).ok()?;
        let file = i32::try_from(file).ok()?;
        // SAFETY: a new private mapping at an address of the kernel's choice, without access.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), LEN, libc::PROT_NONE, libc::MAP_PRIVATE, file, 0)
        };
        // SAFETY: the descriptor was made above and is used nowhere else.
        unsafe { libc::close(file) };
        (page != libc::MAP_FAILED).then_some(Self { page })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // SAFETY: unmaps a page that nobody reads.
        let _ = unsafe { arch::syscall(libc::SYS_munmap, [self.page as usize, LEN, 0, 0]) };
    }
}

/// `sondage-agent:PID:VERSION`, without an allocator.
fn write_name(buffer: &mut [u8; 64]) -> Option<()> {
    struct Cursor<'a>(&'a mut [u8]);
    impl core::fmt::Write for Cursor<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            let room = core::mem::take(&mut self.0);
            let (target, rest) = room.split_at_mut_checked(text.len()).ok_or(core::fmt::Error)?;
            target.copy_from_slice(text.as_bytes());
            self.0 = rest;
            Ok(())
        }
    }
    // SAFETY: takes no arguments.
    let pid = unsafe { arch::syscall(libc::SYS_getpid, [0; 4]) };
    let (room, _nul) = buffer.split_at_mut_checked(63)?;
    let name = format_args!("sondage-agent:{pid}:{}", env!("CARGO_PKG_VERSION"));
    core::fmt::write(&mut Cursor(room), name).ok()
}
