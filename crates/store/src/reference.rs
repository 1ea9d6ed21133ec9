//! Ways to name a thing: by our id, or by the client's own name of it.

use hookseal_domain::id::{AppId, EndpointId, MessageId};

/// Names an application.
pub type AppRef = Reference<AppId>;
/// Names an endpoint of an application.
pub type EndpointRef = Reference<EndpointId>;
/// Names a message of an application.
pub type MessageRef = Reference<MessageId>;

/// An id, or the uid (for messages: the `eventId`) that the client gave.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reference<Id> {
    /// Our id.
    Id(Id),
    /// The client's name. Any text: what fits nothing is found nowhere.
    Uid(String),
}

macro_rules! references {
    ($($id:ty),*) => {$(
        impl Reference<$id> {
            /// Reads what stands in a path. Anything that is no id of ours is taken as a uid.
            pub fn parse(text: &str) -> Self {
                <$id>::parse(text).map_or_else(|| Self::Uid(text.to_owned()), Self::Id)
            }
        }
    )*};
}

references!(AppId, EndpointId, MessageId);
