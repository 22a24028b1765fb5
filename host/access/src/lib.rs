//! Who is calling and may they: tokens, rules and namespaces, one layer for every door.
