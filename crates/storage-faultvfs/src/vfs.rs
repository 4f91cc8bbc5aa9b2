//! The C side: a VFS that is the operating system's with some functions replaced.
//!
//! A file is opened by the real VFS in the memory SQLite gives; then its table of methods is
//! replaced by a copy in which reads, writes, truncations, syncs and closing come here first. What
//! belongs to an open file is found by its address.
#![allow(unsafe_code)]

use crate::disk::{Faults, Verdict};
use parking_lot::Mutex;
use rusqlite::ffi::{
    self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A registered VFS. SQLite hands its address to every function of it; it is never freed.
#[repr(C)]
struct Registered {
    vfs: sqlite3_vfs,
    base: *mut sqlite3_vfs,
    faults: Faults,
}

/// What belongs to an open file.
struct OpenFile {
    path: PathBuf,
    faults: Faults,
    real: *const sqlite3_io_methods,
    /// The table in use, freed when the file is closed.
    ours: *mut sqlite3_io_methods,
}

// SAFETY: the tables are only read, and freed once, when the file is closed.
unsafe impl Send for OpenFile {}

static OPEN: Mutex<Option<HashMap<usize, OpenFile>>> = Mutex::new(None);

/// Registers a VFS under `name`; each test takes a name of its own.
///
/// # Panics
/// If SQLite has no VFS to build on, or the name holds a NUL.
#[must_use]
#[allow(clippy::panic)]
pub fn register(name: &str, seed: u64) -> Faults {
    let name = CString::new(name).unwrap_or_else(|_| panic!("a name without NUL"));
    let faults = Faults::new(seed);
    // SAFETY: a null name asks for the default VFS, which lives as long as the process. The new
    // one is leaked, as is its name, so SQLite may keep both.
    unsafe {
        let base = sqlite3_vfs_find(std::ptr::null());
        assert!(!base.is_null(), "SQLite has no default VFS");
        let mut vfs = *base;
        vfs.zName = name.into_raw();
        vfs.pNext = std::ptr::null_mut();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        let registered = Box::leak(Box::new(Registered { vfs, base, faults: faults.clone() }));
        let code = sqlite3_vfs_register(&raw mut registered.vfs, 0);
        assert_eq!(code, ffi::SQLITE_OK, "the VFS is registered");
    }
    faults
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Some(Path::new(OsStr::from_bytes(bytes)).to_owned())
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the address that was registered, which is that of a `Registered`; and
    // `file` is as large as `szOsFile` of the real VFS says, which was copied.
    unsafe {
        let registered = &*vfs.cast::<Registered>();
        if registered.faults.is_dead() {
            (*file).pMethods = std::ptr::null();
            return ffi::SQLITE_IOERR;
        }
        let base = registered.base;
        let Some(real_open) = (*base).xOpen else { return ffi::SQLITE_ERROR };
        let code = real_open(base, name, file, flags, out_flags);
        let Some(path) = path_of(name).filter(|_| code == ffi::SQLITE_OK) else { return code };
        registered.faults.opened(&path, file as usize);
        let real = (*file).pMethods;
        let mut methods = *real;
        methods.xRead = Some(read);
        methods.xWrite = Some(write);
        methods.xTruncate = Some(truncate);
        methods.xSync = Some(sync);
        methods.xClose = Some(close);
        let ours = Box::into_raw(Box::new(methods));
        (*file).pMethods = ours;
        let opened = OpenFile { path, faults: registered.faults.clone(), real, ours };
        OPEN.lock().get_or_insert_default().insert(file as usize, opened);
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let registered = &*vfs.cast::<Registered>();
        if registered.faults.is_dead() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        if let Some(path) = path_of(name) {
            registered.faults.deleted(&path);
        }
        match (*registered.base).xDelete {
            Some(real) => real(registered.base, name, sync),
            None => ffi::SQLITE_ERROR,
        }
    }
}

/// The faults, path and real methods of an open file.
fn known(file: *mut sqlite3_file) -> Option<(Faults, PathBuf, *const sqlite3_io_methods)> {
    let open = OPEN.lock();
    let file = open.as_ref()?.get(&(file as usize))?;
    Some((file.faults.clone(), file.path.clone(), file.real))
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    to: *mut c_void,
    count: c_int,
    at: sqlite3_int64,
) -> c_int {
    let Some((faults, _, real)) = known(file) else { return ffi::SQLITE_IOERR };
    if faults.is_dead() {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: the real method gets the arguments SQLite meant for it.
    unsafe { (*real).xRead.map_or(ffi::SQLITE_IOERR, |call| call(file, to, count, at)) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    count: c_int,
    at: sqlite3_int64,
) -> c_int {
    let Some((faults, path, real)) = known(file) else { return ffi::SQLITE_IOERR };
    let (Ok(len), Ok(offset)) = (usize::try_from(count), usize::try_from(at)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    if let Some(hook) = faults.hook(&path) {
        hook();
    }
    // SAFETY: SQLite hands in `count` readable bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
    match faults.write(&path, offset, bytes) {
        // SAFETY: as in `read`.
        Verdict::Go => unsafe {
            (*real).xWrite.map_or(ffi::SQLITE_IOERR, |call| call(file, from, count, at))
        },
        Verdict::Full => ffi::SQLITE_FULL,
        Verdict::Fail => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    let Some((faults, path, real)) = known(file) else { return ffi::SQLITE_IOERR };
    match faults.truncate(&path, usize::try_from(size).unwrap_or(0)) {
        // SAFETY: as in `read`.
        Verdict::Go => unsafe {
            (*real).xTruncate.map_or(ffi::SQLITE_IOERR, |call| call(file, size))
        },
        Verdict::Full | Verdict::Fail => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    let Some((faults, path, _)) = known(file) else { return ffi::SQLITE_IOERR };
    // The real file needs no sync: the model says what survives.
    match faults.sync(&path, file as usize) {
        Verdict::Go => ffi::SQLITE_OK,
        Verdict::Full | Verdict::Fail => ffi::SQLITE_IOERR_FSYNC,
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let Some(opened) = OPEN.lock().as_mut().and_then(|open| open.remove(&(file as usize))) else {
        return ffi::SQLITE_IOERR;
    };
    opened.faults.closed(&opened.path, file as usize);
    // SAFETY: the real table is put back before the real method sees the file, and ours, which
    // came from a box, is freed after its last use: nobody else has this file's address.
    unsafe {
        (*file).pMethods = opened.real;
        let code = (*opened.real).xClose.map_or(ffi::SQLITE_IOERR, |call| call(file));
        drop(Box::from_raw(opened.ours));
        code
    }
}
