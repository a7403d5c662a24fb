//! Tests that modules import only from floors below their own floor, and that the files of one folder import each other
//! without a cycle. ARCHITECTURE.md defines the floors.
//!
//! The test reads `use` items and every path that begins with `crate`, `self` or `super`. A name that a module
//! re-exports (`pub use`) counts for the module that defines the name. Imports between a folder's own module and the
//! files in the folder do not count, because the files of `flood` are parts of `flood::Shard`. Tests do not count
//! either.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, File, Item, ItemMod, ItemUse, Macro, UseTree,
    visit::{self, Visit},
};

/// A module by its path in the crate. The path of the crate itself is empty.
type Module = Vec<String>;

/// The imports and re-exports in one crate's sources.
#[derive(Default)]
struct Crate {
    modules: BTreeSet<Module>,
    /// For each module, the names that it re-exports, and the paths of their sources.
    handed_on: BTreeMap<(Module, String), Module>,
    /// The importing modules and the imported paths, as they are written.
    imports: Vec<(Module, Module)>,
}

impl Crate {
    fn read(name: &str) -> Crate {
        let mut read = Crate::default();
        let src = crates().join(name).join("src");
        let root = if src.join("lib.rs").exists() { src.join("lib.rs") } else { src.join("main.rs") };
        read.file(&root, &src, &Module::new());
        read
    }

    /// Reads the file of `module`. The submodules of `module` are in `folder`.
    fn file(&mut self, file: &Path, folder: &Path, module: &Module) {
        self.modules.insert(module.clone());
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed: File =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.items(&parsed.items, folder, module);
    }

    fn items(&mut self, items: &[Item], folder: &Path, module: &Module) {
        for item in items {
            let Item::Mod(child) = item else {
                Reader { read: self, module }.visit_item(item);
                continue;
            };
            if is_for_tests(&child.attrs) {
                continue;
            }
            let name = child.ident.to_string();
            let path = [module.as_slice(), std::slice::from_ref(&name)].concat();
            match &child.content {
                Some((_, items)) => {
                    self.modules.insert(path.clone());
                    self.items(items, &folder.join(&name), &path);
                }
                None => {
                    let (flat, deep) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
                    let file = if flat.exists() { flat } else { deep };
                    self.file(&file, &folder.join(&name), &path);
                }
            }
        }
    }

    /// The module to which a path leads, after all re-exports.
    fn target(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // A name can be re-exported several times, but the loop must end.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|&depth| self.modules.contains(&path[..depth]));
            let (module, rest) = path.split_at(depth.expect("the crate itself is a module"));
            let Some(from) =
                rest.first().and_then(|name| self.handed_on.get(&(module.to_vec(), name.clone())))
            else {
                return module.to_vec();
            };
            path = [from.as_slice(), &rest[1..]].concat();
        }
        panic!("{path:?} is handed on in a circle")
    }

    /// All pairs of an importing and an imported module. Pairs in which one module contains the other are left out.
    fn edges(&self) -> BTreeSet<(Module, Module)> {
        let edges = self.imports.iter().map(|(module, path)| (module.clone(), self.target(path)));
        edges.filter(|(module, target)| !module.starts_with(target) && !target.starts_with(module)).collect()
    }
}

/// Reads one item of a module.
struct Reader<'a> {
    read: &'a mut Crate,
    module: &'a Module,
}

impl Reader<'_> {
    /// The full path of an item that this module writes as `path`. `None` if the item belongs to another crate, or if
    /// the path does not begin with a module.
    fn full(&self, path: &[String]) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Module::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len() - 1].to_vec(),
            name => {
                let child = [self.module.as_slice(), &[name.to_owned()]].concat();
                return self.read.modules.contains(&child).then(|| [child.as_slice(), rest].concat());
            }
        };
        while let Some(("super", behind)) = rest.split_first().map(|(name, behind)| (name.as_str(), behind)) {
            base.pop();
            rest = behind;
        }
        Some([base.as_slice(), rest].concat())
    }

    fn import(&mut self, path: &[String]) {
        if let Some(full) = self.full(path) {
            self.read.imports.push((self.module.clone(), full));
        }
    }

    fn tree(&mut self, before: &[String], tree: &UseTree, is_handed_on: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree, is_handed_on),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(before, tree, is_handed_on));
            }
            UseTree::Glob(_) => self.import(before),
            UseTree::Name(name) => self.leaf(&with(&name.ident), &name.ident.to_string(), is_handed_on),
            UseTree::Rename(name) => self.leaf(&with(&name.ident), &name.rename.to_string(), is_handed_on),
        }
    }

    fn leaf(&mut self, path: &[String], name: &str, is_handed_on: bool) {
        let path =
            if path.last().is_some_and(|last| last == "self") { &path[..path.len() - 1] } else { path };
        self.import(path);
        if let Some(full) = self.full(path).filter(|_| is_handed_on) {
            self.read.handed_on.insert((self.module.clone(), name.to_owned()), full);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).is_some_and(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        assert!(item.content.is_none(), "modules within functions are not read");
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A private import is visible to the module's own files, so these files may import it from the module.
        self.tree(&[], &item.tree, true);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 && ["crate", "self", "super"].contains(&names[0].as_str()) {
            self.import(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let text = called.tokens.to_string().replace(' ', "");
        for (at, _) in text.match_indices("crate::").filter(|(at, _)| !text[..*at].ends_with('$')) {
            let path: String =
                text[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let names: Vec<_> = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
            self.import(&names);
        }
        visit::visit_macro(self, called);
    }
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
    })
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in a folder").to_owned()
}

/// The floors of a crate from ARCHITECTURE.md, lowest first. Each floor is a list of its modules.
fn floors_of(name: &str) -> Vec<Vec<Module>> {
    let text =
        fs::read_to_string(crates().parent().expect("they lie in the workspace").join("ARCHITECTURE.md"));
    let text = text.expect("the map of the code is there");
    let start = format!("{name}: ");
    let told = text.split("\n\n").find_map(|block| {
        let block = block.strip_prefix("```text\n")?.split("\n```").next()?;
        // An indented line continues the previous line.
        let block = block.replace("\n ", " ");
        block.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    });
    let told = told.unwrap_or_else(|| panic!("ARCHITECTURE.md tells the floors of {name}"));
    told.split(',').map(|floor| floor.split('+').map(module).collect()).collect()
}

/// The floor of `module`, and the name on this floor that matches `module`: the longest name that is a prefix of the
/// module's path.
fn floor_of<'a>(floors: &'a [Vec<Module>], module: &Module) -> Option<(usize, &'a Module)> {
    let all =
        floors.iter().enumerate().flat_map(|(floor, names)| names.iter().map(move |name| (floor, name)));
    all.filter(|(_, name)| module.starts_with(name)).max_by_key(|(_, name)| name.len())
}

/// Whether a module must not import another module, because the other module is on a higher floor or on the same floor.
fn is_from_above(floors: &[Vec<Module>], module: &Module, target: &Module) -> bool {
    let Some((own, name)) = floor_of(floors, module) else { return false };
    floor_of(floors, target).is_some_and(|(other, other_name)| other >= own && other_name != name)
}

fn module(name: &str) -> Module {
    name.trim().split("::").map(str::to_owned).collect()
}

fn shown(module: &[String]) -> String {
    module.join("::")
}

fn imports_from_above(name: &str) -> Vec<String> {
    let (read, floors) = (Crate::read(name), floors_of(name));
    let mut wrong = Vec::new();
    for module in read.modules.iter().filter(|module| module.len() == 1) {
        let has_floor = floor_of(&floors, module).is_some()
            || floors.iter().flatten().any(|named| named.starts_with(module));
        if !has_floor {
            wrong.push(format!("{name}: {} has no floor in ARCHITECTURE.md", shown(module)));
        }
    }
    for named in floors.iter().flatten().filter(|named| !read.modules.contains(*named)) {
        wrong.push(format!("{name}: ARCHITECTURE.md has a floor for {}, which is not there", shown(named)));
    }
    for (module, target) in read.edges() {
        if is_from_above(&floors, &module, &target) {
            wrong.push(format!("{name}: {} imports {} from above", shown(&module), shown(&target)));
        }
    }
    wrong
}

/// Cycles of imports among the modules in one folder.
fn circles(name: &str) -> Vec<String> {
    let read = Crate::read(name);
    let mut neighbors: BTreeMap<Module, BTreeMap<Module, (Module, Module)>> = BTreeMap::new();
    for (module, target) in read.edges() {
        let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
        let (one, other) = (module[..=shared].to_vec(), target[..=shared].to_vec());
        neighbors.entry(one).or_default().entry(other).or_insert((module, target));
    }
    let reaches = |from: &Module, to: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for neighbor in neighbors.get(module).into_iter().flat_map(BTreeMap::keys) {
                if neighbor == to {
                    return true;
                }
                if seen.insert(neighbor) {
                    next.push(neighbor);
                }
            }
        }
        false
    };
    let edges =
        neighbors.iter().flat_map(|(one, others)| others.iter().map(move |(other, by)| (one, other, by)));
    let circular = edges.filter(|(one, other, _)| reaches(other, one));
    circular
        .map(|(one, other, (module, target))| {
            format!(
                "{name}: {} needs {}, and the other way round ({} imports {})",
                shown(one),
                shown(other),
                shown(module),
                shown(target)
            )
        })
        .collect()
}

#[test]
fn modules_import_only_from_floors_below() {
    let all = [
        "proxyherd-core",
        "proxyherd-streams",
        "proxyherd-log",
        "proxyherd-journal",
        "proxyherd-data",
        "proxyherd-places",
        "proxyherd-config",
        "proxyherd-commands",
        "proxyherd-server",
        "proxyherd",
    ];
    let wrong = all.map(imports_from_above).concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn doors_are_beside_each_other_and_may_not_import_each_other() {
    let floors = floors_of("proxyherd-server");
    let is_wrong = |one: &str, other: &str| is_from_above(&floors, &module(one), &module(other));
    for (one, other) in [("door::line", "door::http"), ("door::reactor::thread", "door::line::batch")] {
        assert!(is_wrong(one, other) && !is_wrong("door", one) && !is_wrong(one, "door::entrance"), "{one}");
    }
    assert!(is_wrong("door::http::connection", "door::line::batch"), "files of doors, too");
    assert!(!is_wrong("door::http::connection", "door::http::slot"), "files of one door have no floors");
    let read = Crate::read("proxyherd-server");
    let doors = read.modules.iter().filter(|module| module.len() == 2 && module[0] == "door");
    let without = doors.filter(|door| floor_of(&floors, door).is_none_or(|(_, name)| name != *door));
    assert_eq!(without.collect::<Vec<_>>(), Vec::<&Module>::new(), "a new door has a floor of its own");
}

/// Files of `herd` for the parts of a server that are not doors. `Internals` is a trait, so a module that calls one of
/// its methods must import it.
const NO_DOORS_BUSINESS: [&str; 2] = ["herd::internals", "herd::links"];

#[test]
fn doors_import_of_the_herd_only_what_is_for_doors() {
    let read = Crate::read("proxyherd-server");
    let files = NO_DOORS_BUSINESS.map(module);
    assert!(files.iter().all(|file| read.modules.contains(file)), "they are there");
    let wrong = |floor: &str| {
        let (floor, edges) = (module(floor), read.edges());
        let of_floor = edges.into_iter().filter(|(from, _)| from.starts_with(&floor));
        let of_herd = of_floor.filter(|(_, target)| files.iter().any(|file| target.starts_with(file)));
        of_herd
            .map(|(from, target)| format!("{} imports {}", shown(&from), shown(&target)))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong("door"), Vec::<String>::new());
    // Other modules do import it, so the test would notice such an import.
    assert!(wrong("peer").contains(&"peer::session imports herd::internals".to_owned()));
}

#[test]
fn files_of_one_folder_import_each_other_in_no_circle() {
    let all = [
        "proxyherd-core",
        "proxyherd-streams",
        "proxyherd-log",
        "proxyherd-journal",
        "proxyherd-data",
        "proxyherd-places",
        "proxyherd-config",
        "proxyherd-commands",
        "proxyherd-server",
        "proxyherd",
        "proxyherd-sim",
        "proxyherd-bench",
        "proxyherd-fuzz",
    ];
    let wrong = all.map(circles).concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sources_are_read_whole() {
    let read = Crate::read("proxyherd-core");
    assert!(read.modules.contains(&module("flood::anti_entropy")), "files in folders");
    // `flood` re-exports names of `flood::links`.
    assert_eq!(read.target(&module("flood::LinkId")), module("flood::links"));
    let edges = read.edges();
    assert!(
        edges.contains(&(module("flood::anti_entropy"), module("codec::link::check"))),
        "groups within groups"
    );
    assert!(edges.contains(&(module("replica"), module("flood"))), "what the folder's own module imports");
}
