//! Where a command works: a data directory of its own, or a server.

use narvi::{Db, ErrorKind, Settings, Tenant, WalSync};

use crate::{
    cli::WhereArgs,
    client::Client,
    failure::{Failure, Outcome},
};

/// A data directory or a server.
pub(crate) enum Place {
    Directory(Db, Tenant),
    Server(Client),
}

impl Place {
    /// For reading: the data directory must exist.
    pub(crate) fn to_read(args: &WhereArgs) -> Outcome<Self> {
        if args.addr.is_none() && !args.data_dir.join("WRITER").is_file() {
            let path = args.data_dir.display();
            return Err(Failure(format!(
                "{path} is no data directory of Narvi; name one with --data-dir, or a server with --addr"
            )));
        }
        Self::open(args, Settings::default())
    }

    /// For loading: the data directory is made if it does not exist.
    pub(crate) fn to_load(args: &WhereArgs) -> Outcome<Self> {
        let mut settings = Settings { max_line_bytes: 64 << 20, ..Settings::default() };
        // Everything is flushed at the end, which syncs it.
        settings.wal.sync = WalSync::Never;
        Self::open(args, settings)
    }

    fn open(args: &WhereArgs, settings: Settings) -> Outcome<Self> {
        let tenant = Tenant::new(&args.tenant).map_err(|error| Failure::of("--tenant", error))?;
        if let Some(addr) = &args.addr {
            return Ok(Self::Server(Client::new(addr, &args.tenant)?));
        }
        let db = Db::builder(&args.data_dir).settings(settings).open().map_err(|error| match error.kind() {
            ErrorKind::Locked => Failure(format!(
                "data directory {} is open in another process; if that is a server, ask it with \
                 --addr http://127.0.0.1:3100",
                args.data_dir.display()
            )),
            _ => error.into(),
        })?;
        for damage in &db.open_report().damage {
            eprintln!("narvi: warning: {damage}");
        }
        Ok(Self::Directory(db, tenant))
    }
}
