//! What every store must do, run on all of them.
