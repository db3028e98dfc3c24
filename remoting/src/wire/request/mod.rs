//! The request table: every code of the protocol by name, and for those that a process of ours serves
//! the typed header, the variant of that process's request enum, and the line in the docs.
//!
//! One file per family holds the headers; `table.rs` holds the codes and who serves them.

pub mod admin;
pub mod client;
pub mod consume;
pub mod namesrv;
pub mod send;
mod table;

pub use table::{BrokerRequest, ClientRequest, NamesrvRequest, RequestCode, UnservedRequest, docs};

use super::field::FieldError;

/// Why a request cannot be handed to its handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// This process does not serve the code; [`super::Replies::unsupported`] answers it.
    #[error(" request type {0} not supported")]
    Unsupported(i32),
    /// A field is refused; [`super::Replies::bad_field`] answers it.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Makes header types: each field is the wire's name as a byte string, then field and type.
macro_rules! headers {
    () => {};
    ($(#[$doc:meta])* pub struct $name:ident<$lt:lifetime> { $($body:tt)* } $($rest:tt)*) => {
        headers!(@one [$(#[$doc])*] $name [<$lt>] [<$lt>] $lt { $($body)* });
        headers!($($rest)*);
    };
    ($(#[$doc:meta])* pub struct $name:ident { $($body:tt)* } $($rest:tt)*) => {
        headers!(@one [$(#[$doc])*] $name [<'a>] [] 'a { $($body)* });
        headers!($($rest)*);
    };
    (@one [$(#[$doc:meta])*] $name:ident [$($impl:tt)*] [$($args:tt)*] $lt:lifetime {
        $($(#[$fdoc:meta])* $key:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name $($args)* {
            $($(#[$fdoc])* pub $field: $type,)*
        }

        impl $($impl)* $crate::wire::Header<$lt> for $name $($args)* {
            fn decode(
                fields: $crate::wire::Fields<$lt>,
            ) -> Result<Self, $crate::wire::FieldError> {
                $(let mut $field = None;)*
                for (key, value) in fields.iter() {
                    match key {
                        $($key => $field = Some(value),)*
                        _ => {}
                    }
                }
                Ok(Self {$(
                    $field: $crate::wire::field::read(
                        const { $crate::wire::field::name($key) }, $field,
                    )?,
                )*})
            }

            fn encode(&self, out: &mut $crate::wire::FieldWriter<'_>) {
                $($crate::wire::Field::put(&self.$field, $key, out);)*
            }
        }
    };
}
use headers;
