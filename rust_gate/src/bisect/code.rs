//! Whether two commits compile to the same code: then neither has to be measured to know that they cost the
//! same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Chunks of a compiled module that nothing runs: how and from where it was compiled, line numbers, what
/// debuggers and shells show.
const NOT_RUN: [&[u8]; 5] = [b"CInf", b"Dbgi", b"Abst", b"Docs", b"Line"];

/// Deepest directory that is looked into.
const DEPTH_MAX: u32 = 32;

/// A digest of what would run, of the applications in a directory.
///
/// # Errors
/// The operating system's.
pub fn digest(applications: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    collect(applications, DEPTH_MAX, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(applications).unwrap_or(&file);
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update([0]);
        match file.extension().is_some_and(|extension| extension == "beam") {
            true => runs(&content).iter().for_each(|chunk| hash.update(chunk)),
            false => hash.update(&content),
        }
        hash.update([0]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn collect(directory: &Path, depth: u32, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match (path.is_dir(), depth) {
            (true, 0) => return Err(io::Error::other(format!("{} is too deep", path.display()))),
            (true, _) => collect(&path, depth - 1, files)?,
            (false, _) => files.push(path),
        }
    }
    Ok(())
}

/// The chunks of a compiled module that matter when it runs; all of a file that is none as it is known
/// ("FOR1", size, "BEAM", then chunks of name, size and content, padded to four bytes).
fn runs(module: &[u8]) -> Vec<&[u8]> {
    chunks(module).unwrap_or_else(|| vec![module])
}

fn chunks(module: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = module.strip_prefix(b"FOR1")?.get(4..)?.strip_prefix(b"BEAM")?;
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let (head, size) = (rest.get(..4)?, rest.get(4..8)?);
        let size = u32::from_be_bytes(size.try_into().ok()?) as usize;
        let whole = rest.get(..size.checked_add(8)?)?;
        if !NOT_RUN.contains(&head) {
            kept.push(whole);
        }
        rest = rest.get(whole.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"FOR1\0\0\0\0BEAM".to_vec();
        for (name, content) in chunks {
            file.extend_from_slice(*name);
            file.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
            file.extend_from_slice(content);
            file.resize(file.len().next_multiple_of(4), 0);
        }
        file
    }

    #[test]
    fn where_a_module_was_compiled_is_not_what_it_does() {
        let one = module(&[(b"Code", b"abc"), (b"CInf", b"/one/place"), (b"Line", b"1")]);
        let other = module(&[(b"Code", b"abc"), (b"CInf", b"/another"), (b"Line", b"22")]);
        let changed = module(&[(b"Code", b"abd"), (b"CInf", b"/one/place"), (b"Line", b"1")]);
        assert_eq!(runs(&one), runs(&other));
        assert_ne!(runs(&one), runs(&changed));
    }

    #[test]
    fn a_file_that_is_no_module_counts_as_a_whole() {
        for broken in
            [&b""[..], b"FOR1", b"FOR1\0\0\0\0BEAMCode\xff\xff\xff\xffx", b"{some, term}."]
        {
            assert_eq!(runs(broken), [broken]);
        }
    }

    #[test]
    fn names_count_and_the_order_of_a_directory_does_not() {
        let write = |names: &[&str]| {
            let directory = tempfile::tempdir().unwrap();
            for name in names {
                let file = directory.path().join("0-a/ebin").join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, *name).unwrap();
            }
            digest(directory.path()).unwrap()
        };
        assert_eq!(write(&["a.beam", "b.beam"]), write(&["b.beam", "a.beam"]));
        assert_ne!(write(&["a.beam", "b.beam"]), write(&["a.beam", "c.beam"]));
    }
}
