//! What a person reads on the screen, in English and in Spanish.
//!
//! A [`Message`] is one sentence or label with numbered places (`{0}`) for what varies; [`Message::with`] fills them when
//! the language is known. Records, metrics and logs are for machines and stay in English.

/// Language of what is shown to a person.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    #[value(name = "en")]
    English,
    /// Spanish.
    #[serde(rename = "es")]
    #[value(name = "es")]
    Spanish,
}

impl Language {
    /// The language of a locale name such as `es_ES.UTF-8`; English for every language without a translation.
    pub fn of_locale(locale: &str) -> Self {
        let name = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
        if name.eq_ignore_ascii_case("es") { Self::Spanish } else { Self::English }
    }

    /// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is not empty.
    pub fn of_environment() -> Self {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .map_or(Self::English, |locale| Self::of_locale(&locale))
    }
}

/// What stands in a place of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A name, number or quotation: the same in every language.
    Verbatim(String),
    /// A sentence or label of its own.
    Phrase(Phrase),
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Verbatim(text.to_owned())
    }
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Verbatim(text)
    }
}

impl From<usize> for Argument {
    fn from(number: usize) -> Self {
        Self::Verbatim(number.to_string())
    }
}

impl From<Message> for Argument {
    fn from(message: Message) -> Self {
        Self::Phrase(message.into())
    }
}

impl From<Phrase> for Argument {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}

/// A message and what stands in its places: a sentence that waits for its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    message: Message,
    arguments: Vec<Argument>,
}

impl Phrase {
    /// The sentence in `language`.
    pub fn text(&self, language: Language) -> String {
        let mut out = String::new();
        let mut rest = self.message.text(language);
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').unwrap_or(("", after));
            out.push_str(before);
            match place.parse::<usize>().ok().and_then(|place| self.arguments.get(place)) {
                Some(Argument::Verbatim(text)) => out.push_str(text),
                Some(Argument::Phrase(phrase)) => out.push_str(&phrase.text(language)),
                None => {}
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

impl From<Message> for Phrase {
    fn from(message: Message) -> Self {
        Self { message, arguments: Vec::new() }
    }
}

impl Message {
    /// The message with its places filled in order.
    pub fn with<const N: usize>(self, arguments: [Argument; N]) -> Phrase {
        Phrase { message: self, arguments: arguments.into() }
    }

    /// The bare text, places unfilled.
    pub const fn text(self, language: Language) -> &'static str {
        let [english, spanish] = self.texts();
        match language {
            Language::English => english,
            Language::Spanish => spanish,
        }
    }
}

macro_rules! messages {
    ($($name:ident: $english:literal, $spanish:literal;)*) => {
        /// Every sentence and label that Vigía shows to a person.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = $english] $name,)*
        }

        impl Message {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn texts(self) -> [&'static str; 2] {
                match self {
                    $(Self::$name => [$english, $spanish],)*
                }
            }
        }
    };
}

messages! {
    // What the program and its commands do.
    About: "Passive network sensor for plants and substations",
        "Sensor de red pasivo para plantas y subestaciones";
    AboutRun: "Watch live interfaces until told to stop",
        "Vigila interfaces en vivo hasta que se le pida parar";
    AboutReplay: "Process capture files as if they were live",
        "Procesa ficheros de captura como si fueran tráfico en vivo";
    AboutCheck: "Check the configuration and the rules without starting",
        "Comprueba la configuración y las reglas sin arrancar";
    AboutRules: "Show the loaded rules, or what rules can ask for",
        "Muestra las reglas cargadas o lo que las reglas pueden consultar";
    AboutRulesList: "List the rules that load",
        "Lista las reglas que se cargan";
    AboutRulesFields: "List the protocol fields that rules can use as keywords",
        "Lista los campos de protocolo que las reglas pueden usar como palabras clave";
    AboutStatus: "Ask the running sensor how it is doing",
        "Pregunta al sensor en marcha cómo está";
    AboutReload: "Ask the running sensor to load rules and configuration again",
        "Pide al sensor en marcha que vuelva a cargar reglas y configuración";
    AboutGuard: "Show, or remove, what keeps the tap interfaces from sending",
        "Muestra, o quita, lo que impide enviar por las interfaces de escucha";
    AboutConfig: "Show the configuration",
        "Muestra la configuración";
    AboutConfigDefault: "Print every setting with its default and what it means",
        "Imprime cada ajuste con su valor por defecto y su significado";
    AboutConfigShow: "Print the settings that are in force",
        "Imprime los ajustes que están en vigor";

    // Diagnostics of the configuration.
    ConfigUnreadable: "cannot read the configuration: {0}",
        "no se puede leer la configuración: {0}";
    ConfigSyntax: "not valid TOML: {0}",
        "no es TOML válido: {0}";
    ConfigUnknownKey: "unknown key `{0}`",
        "clave desconocida `{0}`";
    ConfigWrongType: "`{0}` must be {1}, not {2}",
        "`{0}` debe ser {1}, no {2}";
    ConfigOutOfRange: "`{0}` is {1}, which is out of range",
        "`{0}` vale {1}, que está fuera de rango";
    ConfigNotAChoice: "`{0}` cannot be \"{1}\"",
        "`{0}` no puede ser \"{1}\"";
    ConfigInvalid: "`{0}` is not valid: {1}",
        "`{0}` no es válido: {1}";
    ConfigMissing: "`{0}` lacks `{1}`",
        "a `{0}` le falta `{1}`";

    JournalTooSmall: "it must hold the reserve and two segments: at least {0}",
        "debe caber la reserva y dos segmentos: al menos {0}";

    // Helps under them.
    HelpDidYouMean: "did you mean `{0}`?",
        "¿quería decir `{0}`?";
    HelpKnownKeys: "known keys here: {0}",
        "claves conocidas aquí: {0}";
    HelpChoices: "one of: {0}",
        "una de: {0}";
    HelpExample: "for example {0}", "por ejemplo {0}";
    HelpBetween: "from {0} to {1}",
        "de {0} a {1}";
    HelpAtLeast: "at least {0}",
        "al menos {0}";
    HelpAtMost: "at most {0}",
        "como mucho {0}";

    // Kinds of values.
    KindInteger: "a whole number", "un número entero";
    KindNumber: "a number", "un número";
    KindText: "text in quotes", "texto entre comillas";
    KindFlag: "true or false", "true o false";
    KindList: "a list", "una lista";
    KindTable: "a table", "una tabla";
    KindDate: "a date", "una fecha";

    // Rules.
    RuleProblem: "rule: {0}", "regla: {0}";
    RuleNoFastPattern: "{0}", "sin patrón rápido: {0}";
    RuleShortPattern: "{0}", "patrón demasiado corto: {0}";
    RulePcreWithoutContent: "{0}", "pcre sin content: {0}";
    RuleShadowed: "{0}", "regla eclipsada por otra: {0}";
    RuleFlowbitNeverSet: "{0}", "flowbit que nadie activa: {0}";
    RuleFlowbitNeverChecked: "{0}", "flowbit que nadie consulta: {0}";
    RuleConflict: "{0}", "opciones incompatibles: {0}";
    RuleDuplicateSid: "{0}", "sid repetido: {0}";
    RuleEmptyBuffer: "{0}", "búfer sin nada que buscar: {0}";
    RuleEmptySet: "{0}", "conjunto vacío: {0}";
    RuleInvalidAddress: "{0}", "dirección no válida: {0}";
    RuleInvalidClassification: "{0}", "clasificación no válida: {0}";
    RuleInvalidReference: "{0}", "sistema de referencia no válido: {0}";
    RuleInvalidReputation: "{0}", "reputación no válida: {0}";
    RuleNoEffect: "{0}", "sin efecto: {0}";
    RuleUnknownSid: "{0}", "regla desconocida: {0}";
    RuleUnreadable: "{0}", "ilegible: {0}";
    RuleInvalidEscape: "{0}", "secuencia de escape no válida: {0}";
    RuleInvalidExpression: "{0}", "expresión regular no válida: {0}";
    RuleInvalidHex: "{0}", "hexadecimal no válido: {0}";
    RuleInvalidPort: "{0}", "puerto no válido: {0}";
    RuleInvalidValue: "{0}", "valor no válido: {0}";
    RuleMisplaced: "{0}", "fuera de lugar: {0}";
    RuleMissingSid: "{0}", "falta el sid: {0}";
    RuleMissingValue: "{0}", "falta un valor: {0}";
    RuleNeverMatches: "{0}", "nunca puede coincidir: {0}";
    RuleNotDissected: "{0}", "protocolo aún sin disección: {0}";
    RuleNotSupported: "{0}", "aún no admitido: {0}";
    RuleProtocolConflict: "{0}", "protocolos incompatibles: {0}";
    RuleRequirementUnmet: "{0}", "requisito sin cumplir: {0}";
    RuleSyntax: "{0}", "error de sintaxis: {0}";
    RuleUnexpectedValue: "{0}", "valor inesperado: {0}";
    RuleUnknownAction: "{0}", "acción desconocida: {0}";
    RuleUnknownClasstype: "{0}", "clase desconocida: {0}";
    RuleUnknownEvent: "{0}", "evento desconocido: {0}";
    RuleUnknownKeyword: "{0}", "palabra clave desconocida: {0}";
    RuleUnknownProtocol: "{0}", "protocolo desconocido: {0}";
    RuleUnknownValue: "{0}", "valor desconocido: {0}";
    RuleUnknownVariable: "{0}", "variable desconocida: {0}";
    RuleValueOutOfRange: "{0}", "valor fuera de rango: {0}";
    RuleVariableLoop: "{0}", "variable que se contiene a sí misma: {0}";
    Verbatim: "{0}", "{0}";
    RulesUnreadable: "cannot read rules: {0}",
        "no se pueden leer las reglas: {0}";
    RulesNoMatch: "no rule file matches `{0}`",
        "ningún fichero de reglas coincide con `{0}`";

    // Severities and sums.
    Error: "error", "error";
    Warning: "warning", "aviso";
    CheckOk: "{0} rules load; no errors, {1} warnings",
        "{0} reglas se cargan; sin errores, {1} avisos";
    CheckFailed: "{0} rules load; {1} errors, {2} warnings",
        "{0} reglas se cargan; {1} errores, {2} avisos";
    MoreDiagnostics: "not shown, {0} times: {1}", "sin mostrar, {0} veces: {1}";
    OtherDiagnostics: "not shown, {0} others (`vigia check --json` shows all)",
        "sin mostrar, otros {0} (`vigia check --json` los muestra todos)";

    ConfigFrom: "in force, from {0}", "en vigor, de {0}";
    ConfigFromDefaults: "in force: the defaults, there is no configuration file",
        "en vigor: los valores por defecto, no hay fichero de configuración";

    // Headings of tables.
    ColumnSid: "rule", "regla";
    ColumnPriority: "priority", "prioridad";
    ColumnCategory: "category", "categoría";
    ColumnMessage: "message", "mensaje";
    ColumnField: "field", "campo";
    ColumnKind: "kind", "tipo";
    ColumnValues: "values", "valores";
    ColumnMeaning: "meaning", "significado";

    // Status, and the summary of a replay.
    ColumnPackets: "packets", "paquetes";
    ColumnWhat: "what", "qué";
    ColumnCount: "count", "cuenta";
    PacketsSeen: "seen", "vistos";
    PacketsProcessed: "processed", "procesados";
    PacketsShunted: "shunted on purpose", "desviados a propósito";
    PacketsDropped: "dropped: {0}", "descartados: {0}";
    PacketsInFlight: "in flight", "en camino";
    SumsBalance: "every packet is accounted for", "todos los paquetes están contabilizados";
    SumsDoNotBalance: "THE SUMS DO NOT BALANCE: packets are missing or counted twice",
        "LAS SUMAS NO CUADRAN: faltan paquetes o se han contado dos veces";
    TotalBytes: "bytes processed", "bytes procesados";
    TotalFlows: "flows", "flujos";
    TotalFlowsActive: "flows active", "flujos activos";
    TotalGaps: "gaps in TCP streams", "huecos en flujos TCP";
    TotalMessages: "{0} messages", "mensajes {0}";
    TotalAnomalies: "anomalies", "anomalías";
    TotalAlerts: "alerts", "alertas";
    TotalAlertsOf: "alerts of severity {0}", "alertas de gravedad {0}";
    TotalSuppressed: "matches below a threshold", "coincidencias bajo un umbral";
    TotalLost: "events lost before the journal", "eventos perdidos antes del diario";
    AboutRuleset: "rules: {0} in force, {1} left out, hash {2}", "reglas: {0} en vigor, {1} descartadas, hash {2}";
    Uptime: "up for {0}", "en marcha desde hace {0}";
    Memory: "memory: {0} MiB resident", "memoria: {0} MiB residentes";

    // How interfaces are captured.
    CapturedBy: "{0}: captured by {1}", "{0}: se captura por {1}";
    CapturedNotBy: "{0}; not by {1}: {2}", "{0}; no por {1}: {2}";
    CapturedByNone: "{0}: cannot be captured", "{0}: no se puede capturar";
    WhyMtu: "packets of {0} bytes do not fit its buffers (at most {1})",
        "los paquetes de {0} bytes no caben en sus búferes (como mucho {1})";
    WhyVlanTags: "the interface takes VLAN tags off the frames and goes on doing so: {0}",
        "la interfaz quita las etiquetas VLAN de las tramas y no deja de hacerlo: {0}";
    WhyOutgoing: "frames that this machine sends are asked for (ignore_outgoing), and it does not see them",
        "se piden las tramas que envía esta máquina (ignore_outgoing), y no las ve";
    WhyNotEthernet: "the interface is not Ethernet", "la interfaz no es Ethernet";
    WhyDenied: "the kernel does not let Vigía load its programs (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)",
        "el núcleo no deja a Vigía cargar sus programas (CAP_BPF, CAP_NET_ADMIN y CAP_PERFMON)";
    WhyNoBpf: "the kernel has no BPF", "el núcleo no tiene BPF";
    WhyNotBuilt: "this build of Vigía has no libpcap", "esta compilación de Vigía no tiene libpcap";

    ColumnInterface: "interface", "interfaz";
    ColumnMode: "captured by", "captura";
    ColumnReceived: "received", "recibidas";
    ColumnLost: "lost by it", "perdidas por ella";
    ColumnGuard: "guard", "guarda";
    ColumnHeldBack: "held back", "retenidas";
    ColumnSent: "sent", "enviadas";

    // Control socket.
    SocketUnreachable: "no sensor answers at {0}: {1}",
        "ningún sensor responde en {0}: {1}";
    SocketHelp: "is `vigia run` running, with the same control.socket?",
        "¿está `vigia run` en marcha, con el mismo control.socket?";
    SocketRefused: "the sensor refused: {0}",
        "el sensor se negó: {0}";
    SocketAnswer: "the sensor's answer makes no sense: {0}",
        "la respuesta del sensor no tiene sentido: {0}";
    Reloaded: "reloaded: {0} rules in force, hash {1}", "recargado: {0} reglas en vigor, hash {1}";
    GuardNone: "no interface is guarded", "ninguna interfaz está guardada";
    GuardRemoved: "{0}: the guard is removed; what this machine sends there leaves again",
        "{0}: la guarda está quitada; lo que esta máquina envíe por ahí vuelve a salir";
    GuardAbsent: "{0}: there was no guard", "{0}: no había guarda";
    NeedsRestart: "settings have changed that take effect at the next start",
        "han cambiado ajustes que surtirán efecto en el próximo arranque";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<_> = text
            .match_indices('{')
            .filter_map(|(at, _)| text[at..].find('}').map(|end| &text[at..=at + end]))
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_message_is_there_in_both_languages_with_the_same_places() {
        for message in Message::ALL {
            let [english, spanish] = message.texts();
            assert!(!english.trim().is_empty() && !spanish.trim().is_empty(), "{message:?} is empty");
            assert_eq!(places(english), places(spanish), "{message:?} has other places in Spanish");
            assert!(
                english != spanish || matches!(message, Message::Error | Message::Verbatim),
                "{message:?} is not translated"
            );
        }
    }

    #[test]
    fn places_are_filled_in_the_language_and_braces_in_them_are_left_alone() {
        let phrase =
            Message::ConfigWrongType.with(["a.{1}".into(), Message::KindTable.into(), Message::KindList.into()]);
        assert_eq!(phrase.text(Language::English), "`a.{1}` must be a table, not a list");
        assert_eq!(phrase.text(Language::Spanish), "`a.{1}` debe ser una tabla, no una lista");
    }

    #[test]
    fn the_locale_chooses_the_language() {
        assert_eq!(Language::of_locale("es_ES.UTF-8"), Language::Spanish);
        assert_eq!(Language::of_locale("es"), Language::Spanish);
        for other in ["en_GB.UTF-8", "C", "", "est"] {
            assert_eq!(Language::of_locale(other), Language::English, "{other}");
        }
    }
}
