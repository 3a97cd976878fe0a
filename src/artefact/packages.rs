//! Files that build systems read. All paths in them are relative to where they lie, so that the folder may be moved.

/// For pkg-config: `pkg-config --cflags --libs NAME`.
pub(super) fn pkg_config(name: &str, file: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}\n\n\
         Name: {name}\n\
         Description: A model compiled by Bessemer\n\
         Version: {}\n\
         Cflags: -I${{prefix}}\n\
         Libs: ${{prefix}}/{file}.so\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// For CMake: `find_package(NAME CONFIG)` defines the target `NAME::NAME`, and `NAME::static` where there is a static
/// library.
pub(super) fn cmake(name: &str, file: &str) -> String {
    format!(
        "# The model `{name}`, compiled by Bessemer: link with {name}::{name}, or {name}::static.\n\
         if(NOT TARGET {name}::{name} AND EXISTS \"${{CMAKE_CURRENT_LIST_DIR}}/{file}.so\")\n\
         \x20 add_library({name}::{name} SHARED IMPORTED)\n\
         \x20 set_target_properties({name}::{name} PROPERTIES\n\
         \x20   IMPORTED_LOCATION \"${{CMAKE_CURRENT_LIST_DIR}}/{file}.so\"\n\
         \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{CMAKE_CURRENT_LIST_DIR}}\")\n\
         endif()\n\
         if(NOT TARGET {name}::static AND EXISTS \"${{CMAKE_CURRENT_LIST_DIR}}/{file}.a\")\n\
         \x20 find_package(Threads REQUIRED)\n\
         \x20 add_library({name}::static STATIC IMPORTED)\n\
         \x20 set_target_properties({name}::static PROPERTIES\n\
         \x20   IMPORTED_LOCATION \"${{CMAKE_CURRENT_LIST_DIR}}/{file}.a\"\n\
         \x20   INTERFACE_LINK_LIBRARIES Threads::Threads\n\
         \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{CMAKE_CURRENT_LIST_DIR}}\")\n\
         endif()\n"
    )
}
