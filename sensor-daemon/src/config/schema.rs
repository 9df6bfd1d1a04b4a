//! Reading the JSON schema that the settings derive: what a key is, what it may hold, what it means.

use serde_json::{Map, Value};

/// The schema of [`super::Config`].
pub(super) struct Schema {
    root: Value,
}

/// What the schema says of one place.
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    schema: &'s Schema,
    /// As it stands where it is used: its description is the key's.
    used: &'s Value,
    /// Behind references and optionality: its description is the type's.
    inner: &'s Value,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape<'s> {
    /// Whole number within bounds, both inclusive.
    Integer(Option<i128>, Option<i128>),
    /// Number with a fraction, within bounds.
    Number(Option<f64>, Option<f64>),
    /// Text.
    Text,
    /// One of these texts.
    Choice(Vec<&'s str>),
    /// True or false.
    Flag,
    /// A list.
    List,
    /// A table with these keys and no others.
    Table,
    /// A table with keys of a person's choice.
    Map,
    /// Anything the type itself must judge.
    Other,
}

impl Schema {
    pub(super) fn of<T: schemars::JsonSchema>() -> Self {
        Self { root: schemars::schema_for!(T).to_value() }
    }

    pub(super) fn node(&self) -> Node<'_> {
        self.at(&self.root)
    }

    fn at<'s>(&'s self, used: &'s Value) -> Node<'s> {
        let mut inner = used;
        // References and optionality nest at most twice; the bound keeps a schema that refers to itself from looping.
        for _ in 0..8 {
            if let Some(name) = inner.get("$ref").and_then(Value::as_str) {
                match self.root.pointer(name.trim_start_matches('#')) {
                    Some(target) => inner = target,
                    None => break,
                }
            } else if let Some(present) = present_variant(inner) {
                inner = present;
            } else {
                break;
            }
        }
        Node { schema: self, used, inner }
    }
}

/// The variant of `anyOf` beside null: what an optional setting holds when it is there.
fn present_variant(schema: &Value) -> Option<&Value> {
    let variants = schema.get("anyOf")?.as_array()?;
    let mut present = variants.iter().filter(|variant| variant.get("type") != Some(&Value::from("null")));
    let first = present.next()?;
    present.next().is_none().then_some(first)
}

impl<'s> Node<'s> {
    /// What it means: the key's doc comment, else the type's.
    pub(super) fn doc(&self) -> &'s str {
        [self.used, self.inner].iter().find_map(|schema| schema.get("description")?.as_str()).unwrap_or_default()
    }

    pub(super) fn shape(&self) -> Shape<'s> {
        if let Some(choices) = self.choices() {
            return Shape::Choice(choices.into_iter().map(|(name, _)| name).collect());
        }
        let bound = |name: &str| self.used.get(name).or_else(|| self.inner.get(name));
        match self.kind() {
            Some("integer") => {
                let whole = |name| {
                    bound(name).and_then(|value| value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)))
                };
                let (low, high) = format_bounds(self.inner.get("format").and_then(Value::as_str));
                Shape::Integer(whole("minimum").or(low), whole("maximum").or(high))
            }
            Some("number") => {
                let number = |name| bound(name).and_then(Value::as_f64);
                Shape::Number(number("minimum"), number("maximum"))
            }
            Some("string") => Shape::Text,
            Some("boolean") => Shape::Flag,
            Some("array") => Shape::List,
            Some("object") if self.properties().is_some() => Shape::Table,
            Some("object") => Shape::Map,
            _ => Shape::Other,
        }
    }

    fn kind(&self) -> Option<&'s str> {
        match self.inner.get("type")? {
            Value::String(kind) => Some(kind),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            _ => None,
        }
    }

    /// What it holds when nothing is said of it.
    pub(super) fn default(&self) -> Option<&'s Value> {
        self.used.get("default")
    }

    /// The texts it may be, each with what it means.
    pub(super) fn choices(&self) -> Option<Vec<(&'s str, &'s str)>> {
        if let Some(names) = self.inner.get("enum").and_then(Value::as_array) {
            return Some(names.iter().filter_map(Value::as_str).map(|name| (name, "")).collect());
        }
        let mut choices = Vec::new();
        for variant in self.inner.get("oneOf")?.as_array()? {
            let doc = variant.get("description").and_then(Value::as_str).unwrap_or_default();
            match (variant.get("const"), variant.get("enum")) {
                (Some(name), _) => choices.push((name.as_str()?, doc)),
                (None, Some(names)) => {
                    choices.extend(names.as_array()?.iter().filter_map(Value::as_str).map(|n| (n, doc)))
                }
                (None, None) => return None,
            }
        }
        Some(choices)
    }

    fn properties(&self) -> Option<&'s Map<String, Value>> {
        self.inner.get("properties")?.as_object()
    }

    /// The keys of a table, in the order in which they are declared.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'s str, Node<'s>)> {
        let schema = self.schema;
        self.properties().into_iter().flatten().map(move |(key, used)| (key.as_str(), schema.at(used)))
    }

    /// One key of a table, or the values of a map.
    pub(super) fn key(&self, key: &str) -> Option<Node<'s>> {
        let used = self.properties().and_then(|properties| properties.get(key));
        let used = used.or_else(|| self.inner.get("additionalProperties").filter(|schema| schema.is_object()))?;
        Some(self.schema.at(used))
    }

    /// Keys that must be there.
    pub(super) fn required(&self) -> impl Iterator<Item = &'s str> {
        self.inner.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Node<'s>> {
        Some(self.schema.at(self.inner.get("items")?))
    }
}

/// The bounds of an integer type, where the schema does not spell them out.
fn format_bounds(format: Option<&str>) -> (Option<i128>, Option<i128>) {
    match format {
        Some("uint8") => (Some(0), Some(u8::MAX.into())),
        Some("uint16") => (Some(0), Some(u16::MAX.into())),
        Some("uint32") => (Some(0), Some(u32::MAX.into())),
        // TOML's integers have 64 bits with a sign.
        Some("uint64" | "uint") => (Some(0), Some(i64::MAX.into())),
        Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        _ => (None, None),
    }
}

/// The largest value of an integer type says nothing to a person.
pub(super) fn is_type_bound(high: i128) -> bool {
    [u8::MAX.into(), u16::MAX.into(), u32::MAX.into(), i32::MAX.into(), i64::MAX.into()].contains(&high)
}
