//! Why the operator's file and the store are not the same, and what a client is told of it.

use domain::{Code, Refusal};

use super::file::Mistake;
use crate::failure::{Failure, Fault};

/// Why the file and the store are not the same.
#[derive(Debug)]
pub enum NotSame {
    /// The file has a mistake: the operator is to mend it.
    Mistake(Mistake),
    Store(store::Fault),
    Disk(std::io::Error),
    /// It was edited again and again while it was to be written.
    Restless,
}

impl From<store::Fault> for NotSame {
    fn from(fault: store::Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<NotSame> for Failure {
    fn from(no: NotSame) -> Self {
        let disk = |private: Box<dyn std::error::Error + Send + Sync>| {
            Self::Broke(Fault {
                code: Code::LedgerUnavailable,
                public: "The operator's file (config.json) cannot be written at the moment. Whoever operates this gateway finds the reason in its log.".to_owned(),
                private,
                retry_after: None,
            })
        };
        match no {
            NotSame::Mistake(mistake) => Refusal::new(
                Code::Conflict,
                format!("The operator's file (config.json) has a mistake, and is not written until it is mended: {mistake}."),
            )
            .into(),
            NotSame::Store(fault) => fault.into(),
            NotSame::Disk(error) => disk(Box::new(error)),
            NotSame::Restless => disk("the file does not come to rest".into()),
        }
    }
}
