//! Producer, consumers and admin client of the remoting protocol.
