//! What one run of a template may cost, and the account of it.

/// How many statements, commands and loop turns one run may take.
pub const MAX_STEPS: u32 = 200_000;
/// How deep `{{template}}` may call; Go allows 100,000, more than a thread's stack of ours holds.
pub const MAX_CALL_DEPTH: u32 = 100;
/// How large one string, or all a run writes, may be.
pub const MAX_OUTPUT_BYTES: usize = 8 << 20;
/// How many bytes functions may read and make in one run, all together.
pub const MAX_WORK_BYTES: usize = 256 << 20;

/// What is left of the limits in one run.
#[derive(Debug)]
pub(crate) struct Account {
    steps: u32,
    work: usize,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self { steps: MAX_STEPS, work: MAX_WORK_BYTES }
    }

    pub(crate) fn step(&mut self) -> Result<(), String> {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(format!("exceeded the maximum of {MAX_STEPS} steps of a template")),
        }
    }

    /// Books bytes that a function reads or makes.
    pub(crate) fn work(&mut self, bytes: usize) -> Result<(), String> {
        match self.work.checked_sub(bytes) {
            Some(left) => {
                self.work = left;
                Ok(())
            }
            None => Err(format!("exceeded the maximum of {MAX_WORK_BYTES} bytes of work of a template")),
        }
    }

    /// Books a string about to be made, which must not be too large.
    pub(crate) fn make(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > MAX_OUTPUT_BYTES {
            return Err(too_large());
        }
        self.work(bytes)
    }
}

pub(crate) fn too_large() -> String {
    format!("exceeded the maximum of {MAX_OUTPUT_BYTES} bytes of a template's output")
}
