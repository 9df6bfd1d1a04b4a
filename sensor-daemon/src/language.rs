//! What a person reads on the screen, in English and in Spanish.
//!
//! A [`Message`] is one sentence or label with numbered places (`{0}`) for what varies; [`Message::with`] fills them when
//! the language is known. Records, metrics and logs are for machines and stay in English.

pub mod help;
mod rules;

use vigia_rules::Said;

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
    /// A sentence of the rule compiler.
    Said(Said),
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

impl From<Said> for Argument {
    fn from(said: Said) -> Self {
        Self::Said(said)
    }
}

impl From<Said> for Phrase {
    fn from(said: Said) -> Self {
        Message::Verbatim.with([said.into()])
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
                Some(Argument::Said(said)) => out.push_str(&match language {
                    Language::English => said.to_string(),
                    Language::Spanish => said.text(&rules::spanish),
                }),
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
    AboutRulesCheck: "Check rule files: what does not load, and what is worth a look",
        "Comprueba ficheros de reglas: lo que no carga y lo que merece revisión";
    AboutRulesExplain: "Say in words what a rule asks, and why it does not fire on a capture",
        "Dice con palabras qué pide una regla y por qué no salta con una captura";
    AboutRulesTest: "Run the tests that stand beside rules",
        "Ejecuta las pruebas que acompañan a las reglas";
    AboutRulesProfile: "Measure what each rule costs on a capture",
        "Mide lo que cuesta cada regla con una captura";
    AboutAlerts: "Show the alerts in the journal", "Muestra las alertas del diario";
    AboutEvidence: "Show, or copy, the packets of an alert", "Muestra, o copia, los paquetes de una alerta";
    EvidenceNoAlert: "there is no alert {0} in the journal; of one that was removed, the `flow_id` finds the packets that were kept",
        "no hay ninguna alerta {0} en el diario; de una que se eliminó, el `flow_id` encuentra los paquetes que se conservaron";
    EvidenceNone: "there is no evidence of {0}", "no hay pruebas de {0}";
    EvidenceMany: "there are {0} files: name the alert, not its flow", "hay {0} ficheros: indique la alerta, no su flujo";
    EvidenceSigned: "as it was written and signed", "tal como se escribió y se firmó";
    EvidenceFolderUsed: "{0} has evidence of another replay: an empty folder is needed",
        "{0} tiene pruebas de otra reproducción: hace falta una carpeta vacía";
    EvidenceTooSmall: "it must hold two files: at least {0}", "deben caber dos ficheros: al menos {0}";
    AboutJournal: "Look into the journal", "Consulta el diario";
    AboutJournalExport: "Print the events of the journal by stream and time",
        "Imprime los eventos del diario por secuencia y hora";
    AboutJournalStats: "Tell what the journal holds", "Dice qué contiene el diario";
    AboutJournalIndex: "Show the index of alerts, or have it made anew",
        "Muestra el índice de alertas o hace que se construya de nuevo";
    IndexNone: "there is no index of alerts", "no hay índice de alertas";
    IndexRemoved: "the index of alerts was removed: the sensor makes it anew from the journal",
        "se quitó el índice de alertas: el sensor lo construye de nuevo a partir del diario";
    AboutJournalVerify: "Prove that nothing was changed in the journal or taken out of it",
        "Demuestra que nada se ha cambiado en el diario ni se ha sacado de él";
    AboutJournalKey: "Print the public key that the journal's signatures are checked with",
        "Imprime la clave pública con la que se comprueban las firmas del diario";
    VerifiedKey: "key (SHA-256): {0}", "clave (SHA-256): {0}";
    JournalHolds: "nothing was changed or taken out", "nada se ha cambiado ni sacado";
    SegmentChanged: "changed since it was sealed", "cambiado desde que se selló";
    SegmentMissing: "missing, and was not removed to make room", "falta, y no se quitó para hacer sitio";
    ChainBroken: "does not follow the statement before: one was taken out, put in or moved",
        "no sigue a la declaración anterior: alguna se sacó, se añadió o se movió";
    ChainTruncated: "the end of the chain is missing, or was written anew", "falta el final de la cadena, o se escribió de nuevo";
    Unsigned: "not signed with this key", "no está firmado con esta clave";
    JournalDamaged: "segment {0} of the journal cannot be read to its end: {1}",
        "el segmento {0} del diario no se puede leer hasta el final: {1}";
    AboutStatus: "Ask the running sensor how it is doing",
        "Pregunta al sensor en marcha cómo está";
    AboutReload: "Ask the running sensor to load rules and configuration again",
        "Pide al sensor en marcha que vuelva a cargar reglas y configuración";
    AboutGuard: "Show, or remove, what keeps the tap interfaces from sending",
        "Muestra, o quita, lo que impide enviar por las interfaces de escucha";
    AboutProbes: "Show the sensor's programs in the kernel: where they are, what they hold, what a packet costs",
        "Muestra los programas del sensor en el núcleo: dónde están, qué ocupan y qué cuesta un paquete";
    AboutHelp: "Print this message or the help of the given subcommand(s)", "Muestra esta ayuda o la de una orden";
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

    NoInterface: "there is no interface to watch: `capture.interfaces` names none",
        "no hay interfaz que vigilar: `capture.interfaces` no nombra ninguna";
    JournalTooSmall: "it must hold the reserve and two segments: at least {0}",
        "debe caber la reserva y dos segmentos: al menos {0}";
    ExportName: "it must be 1 to 64 letters, digits, `-` or `_`", "debe tener de 1 a 64 letras, dígitos, `-` o `_`";
    ExportNameTwice: "another sink has this name", "otro sumidero tiene este nombre";
    ExportKinds: "a sink has the settings of one kind: {0}", "un sumidero tiene los ajustes de un solo tipo: {0}";
    ExportUrl: "it must be a URL of http or https, without user and password",
        "debe ser una URL de http o https, sin usuario ni contraseña";
    ExportUserWithPassword: "a user goes with `password_file`", "un usuario va con `password_file`";
    ExportTokenOrUser: "there is a user already", "ya hay un usuario";
    ExportCertWithKey: "`cert` and `key` go together", "`cert` y `key` van juntos";
    ExportServerName: "it must be the name of a host or an address", "debe ser el nombre de un equipo o una dirección";
    ExportNatsUrl: "it must be a URL of nats or tls, without user and password",
        "debe ser una URL de nats o tls, sin usuario ni contraseña";
    ExportSubject: "it must be a subject without blanks and wildcards", "debe ser un asunto sin espacios ni comodines";
    ExportTopic: "it must be a topic without wildcards", "debe ser un tema sin comodines";
    ExportBrokers: "there must be brokers, each a host and a port", "debe haber brókeres, cada uno un equipo y un puerto";
    ExportKafkaTopic: "it must be 1 to 249 letters, digits, `.`, `-` or `_`",
        "debe tener de 1 a 249 letras, dígitos, `.`, `-` o `_`";
    ExportNoKafka: "this program was built without Kafka (`--features kafka`)",
        "este programa se compiló sin Kafka (`--features kafka`)";
    ExportPins: "a pin is the SHA-256 of a public key in base64", "un pin es el SHA-256 de una clave pública en base64";
    ExportNoPins: "this sink has no pins", "este sumidero no tiene pines";
    ExportNoServerName: "this sink takes the name from its address", "este sumidero toma el nombre de su dirección";
    ExportAddress: "it must be a host and a port", "debe ser un equipo y un puerto";
    ExportSocketPath: "the path of a socket has at most 107 bytes", "la ruta de un socket tiene como mucho 107 bytes";

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

    // Tools for rules.
    RulesChecked: "{0} rules load, {1} do not, {2} are left out on purpose: {3} errors, {4} warnings",
        "{0} reglas se cargan, {1} no, {2} se dejan fuera a propósito: {3} errores, {4} avisos";

    ExplainAlert: "alerts on {0}, {1}", "alerta sobre {0}, {1}";
    ExplainDrop: "alerts on {0}, {1}; its author would drop it, Vigía never blocks",
        "alerta sobre {0}, {1}; su autor lo bloquearía, Vigía nunca bloquea";
    ExplainPass: "silences alerts on {0}, {1}", "silencia las alertas sobre {0}, {1}";
    ExplainFromTo: "from {0} to {1}", "de {0} a {1}";
    ExplainBetween: "between {0} and {1}", "entre {0} y {1}";
    ExplainTransaction: "of transactions of {0} with {1}", "de transacciones de {0} con {1}";
    ExplainAnywhere: "anywhere", "cualquier sitio";
    ExplainAnyPort: "port {0} anywhere", "el puerto {0} de cualquier sitio";
    ExplainPort: "{0} port {1}", "{0} puerto {1}";
    ExplainEstablished: "the flow is established", "el flujo está establecido";
    ExplainNotEstablished: "the flow is not established", "el flujo no está establecido";
    ExplainToServer: "it goes to the server", "va hacia el servidor";
    ExplainToClient: "it goes to the client", "va hacia el cliente";
    ExplainOnlyStream: "looks at the reassembled stream only", "mira solo el flujo reensamblado";
    ExplainNoStream: "looks at single packets only", "mira solo paquetes sueltos";
    ExplainStateless: "whatever the state of the flow", "sea cual sea el estado del flujo";
    ExplainBitSet: "flowbit {0} is set", "el flowbit {0} está activado";
    ExplainBitNotSet: "flowbit {0} is not set", "el flowbit {0} no está activado";
    ExplainSetsBit: "then sets flowbit {0}", "entonces activa el flowbit {0}";
    ExplainUnsetsBit: "then clears flowbit {0}", "entonces desactiva el flowbit {0}";
    ExplainTogglesBit: "then toggles flowbit {0}", "entonces invierte el flowbit {0}";
    ExplainQuiet: "never alerts itself: it only sets marks", "no alerta por sí misma: solo deja marcas";
    ExplainContent: "{0} contains {1}", "{0} contiene {1}";
    ExplainNoContent: "{0} does not contain {1}", "{0} no contiene {1}";
    ExplainExpression: "{0} matches the expression {1}", "{0} cumple la expresión {1}";
    ExplainNoExpression: "{0} does not match the expression {1}", "{0} no cumple la expresión {1}";
    ExplainBytes: "numbers and lengths in {0}: {1} {2}", "números y longitudes en {0}: {1} {2}";
    ExplainThreshold: "alerts are limited: {0}", "las alertas están limitadas: {0}";
    ExplainFlag: "{0}", "se cumple {0}";
    ExplainValue: "{0} is {1}", "{0} es {1}";
    ExplainAnd: "{0}, {1}", "{0}; {1}";
    ExplainNocase: "in upper or lower case", "en mayúsculas o minúsculas";
    ExplainOffset: "from byte {0} on", "a partir del byte {0}";
    ExplainFirst: "within the first {0} bytes", "dentro de los primeros {0} bytes";
    ExplainDepth: "within {0} bytes from there", "dentro de los {0} bytes desde ahí";
    ExplainDistance: "{0} bytes or more after the match before", "a {0} bytes o más de la coincidencia anterior";
    ExplainWithin: "ending within {0} bytes from there", "terminando dentro de los {0} bytes desde ahí";
    ExplainStartsWith: "at the beginning", "al principio";
    ExplainEndsWith: "at the end", "al final";
    ExplainChosen: "the author's choice of fast pattern", "elegido por el autor como patrón rápido";
    ExplainOnceAFlow: "speaks once for each direction of a flow", "habla una vez por cada sentido de un flujo";
    OccasionPackets: "asked of packets", "se consulta con paquetes";
    OccasionDecodeEvent: "asked of packets with the decode event {0}",
        "se consulta con paquetes con el evento de decodificación {0}";
    OccasionStreams: "asked of TCP streams, wherever segments divide them",
        "se consulta con flujos TCP, los divida como los divida el segmentado";
    OccasionTurns: "asked of what one end of a TCP stream says over several packets before the other answers",
        "se consulta con lo que un extremo de un flujo TCP dice en varios paquetes antes de que el otro responda";
    OccasionStreamEvent: "asked when reassembly meets {0}", "se consulta cuando el reensamblado encuentra {0}";
    OccasionMessages: "asked of {0} messages", "se consulta con mensajes {0}";
    OccasionAnomalies: "asked of anomalies of {0}", "se consulta con anomalías de {0}";
    OccasionAnyAnomalies: "asked of anomalies of the application layer",
        "se consulta con anomalías de la capa de aplicación";
    FastPatternIn: "{0} in {1}, {2} bytes", "{0} en {1}, {2} bytes";
    FastPatternNone: "none", "ninguno";
    CostOnce: "low: once for each direction of a flow", "bajo: una vez por cada sentido de un flujo";
    CostMessages: "low: only such messages or events meet it", "bajo: solo la encuentran esos mensajes o eventos";
    CostPattern: "low: inspected only where its fast pattern stands",
        "bajo: solo se inspecciona donde aparece su patrón rápido";
    CostShort: "medium: its fast pattern is short and stands in much traffic",
        "medio: su patrón rápido es corto y aparece en mucho tráfico";
    CostPorts: "medium: inspected with everything on its ports", "medio: se inspecciona con todo lo de sus puertos";
    CostEverything: "high: inspected with everything; add a content or ports",
        "alto: se inspecciona con todo; añada un content o puertos";
    Work: "{0} contents, {1} expressions, {2} other steps in buffers, {3} conditions",
        "{0} contenidos, {1} expresiones, {2} otros pasos en búferes, {3} condiciones";
    LabelFile: "file", "fichero";
    LabelClass: "class", "clase";
    LabelAsks: "asks", "pide";
    LabelGroup: "group", "grupo";
    LabelPattern: "fast pattern", "patrón rápido";
    LabelBuffers: "buffers", "búferes";
    LabelCost: "cost", "coste";
    TraceSum: "tried {0} times, matched {1} times, {2} alerts", "probada {0} veces, {1} coincidencias, {2} alertas";
    TraceHeld: "{0} matches held back by a threshold, a suppression or marks on hosts",
        "{0} coincidencias retenidas por un umbral, una supresión o marcas en equipos";
    SilentQuiet: "{0} matches only set marks: the rule has noalert", "{0} coincidencias solo dejan marcas: la regla tiene noalert";
    SilentRepeated: "{0} matches of what it had alerted on before", "{0} coincidencias de lo que ya había alertado";
    SilentPassed: "{0} matches silenced by a pass rule", "{0} coincidencias silenciadas por una regla pass";
    SilentCounted: "{0} matches held back by a threshold on the flow", "{0} coincidencias retenidas por un umbral del flujo";
    SilentOvertaken: "{0} matches undone by a mark that a rule before it changed on the same packet",
        "{0} coincidencias anuladas por una marca que cambió otra regla con el mismo paquete";
    TraceNothing: "there is nothing in the capture that the rule is asked of; seen: {0}",
        "en la captura no hay nada con lo que se consulte la regla; visto: {0}";
    TraceNear: "what came nearest, first:", "lo que más se acercó, primero:";
    TraceReached: "{0} times: {1} of {2} conditions hold", "{0} veces: se cumplen {1} de {2} condiciones";
    TraceMore: "{0} other reasons", "{0} razones más";
    TraceHidden: "{0} more groups, that came less far (--top)", "{0} grupos más, que se acercaron menos (--top)";
    TracePacket: "packet {0}, {1} ({2})", "paquete {0}, {1} ({2})";
    TraceAtFlowEnd: "at the end of the flow {0} ({1})", "al final del flujo {0} ({1})";
    AskedTransport: "protocol {0}", "protocolo {0}";
    AskedIpVersion: "version of {0}", "versión de {0}";
    AskedProtocol: "application protocol {0}", "protocolo de aplicación {0}";
    AskedSource: "sender {0}", "emisor {0}";
    AskedDestination: "receiver {0}", "receptor {0}";
    AskedSourcePort: "port {0} of the sender", "puerto {0} del emisor";
    AskedDestinationPort: "port {0} of the receiver", "puerto {0} del receptor";
    AskedFlow: "flow {0}", "flujo {0}";
    AskedIn: "{0} in {1}", "{0} en {1}";
    Was: "was {0}", "era {0}";
    WasReversed: "was {0}; it holds the other way round: swap the ends, or use <>",
        "era {0}; se cumple en el otro sentido: intercambie los extremos o use <>";
    WasTransport: "was IP protocol {0}", "era el protocolo IP {0}";
    WasNoProtocol: "the protocol was not recognised", "no se reconoció el protocolo";
    WasEstablished: "the flow was established", "el flujo estaba establecido";
    WasNotEstablished: "the flow was not established", "el flujo no estaba establecido";
    WasNotSo: "was not so", "no se cumplía";
    WasNoBuffer: "there was no such buffer", "no existía ese búfer";
    WasPresent: "the buffer was there", "el búfer existía";
    WasElsewhere: "looked from byte {0} to {1}; the bytes stand at {2}",
        "buscado del byte {0} al {1}; los bytes están en {2}";
    WasOtherCase: "looked from byte {0} to {1}; they stand at {2} in other letter case: add nocase",
        "buscado del byte {0} al {1}; están en {2} con otras mayúsculas: añada nocase";
    WasMissing: "looked from byte {0} to {1} of {2}; they stand nowhere",
        "buscado del byte {0} al {1} de {2}; no están en ningún sitio";
    WasEmpty: "it was empty", "estaba vacío";
    WasFound: "they stand at byte {0}", "están en el byte {0}";
    WasLength: "the length was {0}", "la longitud era {0}";
    WasStep: "at byte {0} of {1} it was not so", "en el byte {0} de {1} no se cumplía";
    WayToServer: "to the server", "hacia el servidor";
    WayToClient: "to the client", "hacia el cliente";
    WayNone: "part of no flow", "parte de ningún flujo";
    ColumnState: "state", "estado";
    ColumnChanges: "changes", "cambios";
    StateOn: "on", "activa";
    StateOff: "off", "apagada";
    ChangeEnabled: "switched on by {0}", "activada por {0}";
    ChangeDisabled: "switched off by {0}", "apagada por {0}";
    ChangePriority: "priority {0} instead of {1} by {2}", "prioridad {0} en vez de {1} por {2}";
    ChangeThreshold: "threshold {0} by {1}", "umbral {0} por {1}";
    ChangeSuppressed: "suppressed for {0} by {1}", "suprimida para {0} por {1}";
    BecauseOf: "{0} ({1})", "{0}: {1}";
    ColumnChecks: "checks", "pruebas";
    ColumnMatches: "matches", "coincidencias";
    ColumnTime: "time ms", "tiempo ms";
    ColumnShare: "share %", "parte %";
    ColumnEach: "ns/check", "ns/prueba";
    Profiled: "{0} of {1} rules were inspected, {2} times, in {3} ms of {4} ms of detection",
        "se inspeccionaron {0} de {1} reglas, {2} veces, en {3} ms de {4} ms de detección";
    TestPassed: "ok    {0}", "bien  {0}";
    TestFailed: "FAIL  {0}", "FALLO {0}";
    TestCount: "{0}: {1} expected, {2} raised", "{0}: se esperaban {1}, saltaron {2}";
    TestFields: "{0}: {1} expected with {2}, {3} raised", "{0}: se esperaban {1} con {2}, saltaron {3}";
    TestNearest: "the nearest has {0}", "la más parecida tiene {0}";
    TestSum: "{0} tests passed, {1} failed", "{0} pruebas superadas, {1} fallidas";
    TestNone: "no *.test.toml in {0}", "no hay *.test.toml en {0}";
    TestNoCapture: "cannot read the capture: {0}", "no se puede leer la captura: {0}";
    TestUnreadable: "cannot read the tests: {0}", "no se pueden leer las pruebas: {0}";
    TestNoCase: "there is no case in it", "no contiene ningún caso";
    TestUnknownSid: "no rule has the sid {0} that is expected", "ninguna regla tiene el sid {0} que se espera";

    // Rules.
    RulesAbsent: "rules were named that are not there", "se nombraron reglas que no existen";
    RulesStrict: "rules are at fault, and rules.strict allows none to be",
        "hay reglas con errores, y rules.strict no lo permite";
    OverrideNoRange: "{0} is no signature id and no range first-last",
        "{0} no es un identificador de firma ni un rango primero-último";
    OverrideNamesNothing: "it names no rules: sid, classtype, metadata or file",
        "no nombra reglas: sid, classtype, metadata o file";
    OverrideChangesNothing: "it changes nothing: enabled, priority, threshold or suppress",
        "no cambia nada: enabled, priority, threshold o suppress";
    OverrideNoSuchSid: "no rule has the sid {0}", "ninguna regla tiene el sid {0}";
    OverrideNoSuchClass: "there is no class `{0}`", "no existe la clase `{0}`";
    OverrideNoRule: "this override is about no rule that is there",
        "este cambio no se refiere a ninguna regla existente";
    Verbatim: "{0}", "{0}";
    RulesUnreadable: "cannot read rules: {0}",
        "no se pueden leer las reglas: {0}";
    RulesNoMatch: "no rule file matches `{0}`",
        "ningún fichero de reglas coincide con `{0}`";
    RulesFolderEmpty: "no file below `{0}` has a name that ends in `.rules`",
        "ningún fichero de `{0}` tiene un nombre que acabe en `.rules`";
    RulesFolderHelp: "other files are named one by one, or by a pattern: `{0}/*`",
        "los demás ficheros se nombran uno a uno, o con un patrón: `{0}/*`";

    // Severities and sums.
    Error: "error", "error";
    Warning: "warning", "aviso";
    CheckSum: "rules loaded: {0}, errors: {1}, warnings: {2}", "reglas cargadas: {0}, errores: {1}, avisos: {2}";
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
    TotalNotIndexed: "alerts not in the index yet", "alertas aún fuera del índice";
    ColumnEvidence: "evidence", "pruebas";
    EvidenceAlerts: "alerts with evidence", "alertas con pruebas";
    EvidenceLost: "alerts without evidence", "alertas sin pruebas";
    EvidenceFiles: "files written", "ficheros escritos";
    EvidenceIncomplete: "of them, files that lack something", "de ellos, ficheros a los que les falta algo";
    EvidenceOpen: "flows being collected", "flujos en recogida";
    EvidencePacketsLost: "packets not kept", "paquetes no guardados";
    EvidenceBuffer: "MiB in memory, of {0}", "MiB en memoria, de {0}";
    EvidenceDisk: "MiB on disk, of {0}", "MiB en disco, de {0}";
    AboutRuleset: "rules: {0} in force, {1} left out, hash {2}", "reglas: {0} en vigor, {1} descartadas, hash {2}";
    Uptime: "up for {0}", "en marcha desde hace {0}";
    Memory: "memory: {0} MiB resident", "memoria: {0} MiB residentes";

    // How interfaces are captured.
    CapturedBy: "{0}: captured by {1}", "{0}: se captura por {1}";
    CapturedNotBy: "{0}; not by {1}: {2}", "{0}; no por {1}: {2}";
    CapturedBehind: "{0}; behind the kernel's tap ({1})", "{0}; tras la toma del núcleo ({1})";
    CapturedAlone: "{0}; without the kernel's tap: {1}", "{0}; sin la toma del núcleo: {1}";
    WhyNotAttached: "it cannot be attached (the log says why)", "no se puede acoplar (el registro dice por qué)";
    WhyHost: "the interface has an address of its own, and the machine would no longer be reached by it",
        "la interfaz tiene dirección propia, y ya no se llegaría al equipo por ella";
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
    ColumnTap: "tap", "toma";
    ColumnIgnored: "ignored", "ignoradas";
    ColumnDuplicate: "duplicate", "duplicadas";
    ColumnShunted: "shunted", "desviadas";
    ColumnShed: "shed", "descargadas";
    ColumnHeld: "held", "en espera";
    ColumnDelivered: "delivered", "entregadas";
    ColumnRead: "read", "leídas";
    ColumnRingDropped: "lost in rings", "perdidas en anillos";
    ColumnInFlight: "in flight", "en camino";
    ColumnMissing: "missing", "faltan";
    ShedByClass: "{0}: shed under overload: {1}", "{0}: descargadas por sobrecarga: {1}";
    ColumnGuard: "guard", "guarda";
    ColumnHeldBack: "held back", "retenidas";
    ColumnSent: "sent", "enviadas";

    ColumnStream: "stream", "secuencia";
    ColumnSegments: "segments", "segmentos";
    ColumnEvents: "events", "eventos";
    ColumnBytes: "bytes", "octetos";
    ColumnProven: "proven", "probados";
    ColumnFile: "file", "fichero";
    ColumnFlow: "flow", "flujo";
    ColumnRemoved: "removed", "quitados";
    ColumnUnsealed: "not sealed yet", "sin sellar";
    ColumnHead: "head", "cabeza";
    ColumnFirst: "first", "primero";
    ColumnLast: "last", "último";
    ColumnSink: "sink", "sumidero";
    ColumnCircuit: "way", "vía";
    ColumnTaken: "delivered", "entregados";
    ColumnRefused: "refused", "rechazados";
    ColumnMissed: "missed", "omitidos";
    ColumnAlertsWaiting: "alerts waiting", "alertas en espera";
    ColumnRecordsWaiting: "records waiting", "registros en espera";
    ColumnLag: "lag s", "retraso s";
    SinkFails: "{0} ({1}): {2}", "{0} ({1}) falla: {2}";

    // Control socket.
    SocketUnreachable: "no sensor answers at {0}: {1}",
        "ningún sensor responde en {0}: {1}";
    SocketHelp: "is `vigia run` running, with the same control.socket?",
        "¿está `vigia run` en marcha, con el mismo control.socket?";
    SocketRefused: "the sensor refused: {0}",
        "el sensor se negó: {0}";
    SocketAnswer: "the sensor's answer makes no sense: {0}",
        "la respuesta del sensor no tiene sentido: {0}";
    Watching: "watching {0}; {1} rules in force", "vigila {0}; {1} reglas en vigor";
    Reloading: "loading rules again takes up to {0} MiB of memory, beyond the {1} MiB now resident",
        "recargar las reglas ocupa hasta {0} MiB de memoria, además de los {1} MiB ahora residentes";
    SetNotSaved: "the set in {0} is not saved: {1}", "no se guarda el conjunto de {0}: {1}";
    Reloaded: "reloaded: {0} rules in force, hash {1}", "recargado: {0} reglas en vigor, hash {1}";
    ProbesNone: "the sensor has no programs in the kernel", "el sensor no tiene programas en el núcleo";
    ColumnProgram: "program", "programa";
    ColumnVerified: "verified instructions", "instrucciones verificadas";
    ColumnMemory: "memory KiB", "memoria KiB";
    ColumnCost: "ns per packet", "ns por paquete";
    ColumnAttached: "attached", "acoplado a";
    ColumnMap: "map", "mapa";
    ColumnUsed: "used", "en uso";
    ColumnEntries: "entries", "entradas";
    GuardNone: "no interface is guarded", "ninguna interfaz está guardada";
    GuardRemoved: "{0}: the guard is removed; what this machine sends there leaves again",
        "{0}: la guarda está quitada; lo que esta máquina envíe por ahí vuelve a salir";
    GuardAbsent: "{0}: there was no guard", "{0}: no había guarda";

    // Why a capture cannot be read, or an interface not be captured.
    Colon: "{0}: {1}", "{0}: {1}";
    FaultRead: "{0}: reading failed after {1} (uncompressed) bytes: {2}",
        "{0}: la lectura falló tras {1} bytes (sin comprimir): {2}";
    FaultNotACapture: "{0}: not a capture file (pcap or pcapng, plain, gzip or zstd): it {1}",
        "{0}: no es un fichero de captura (pcap o pcapng, sin comprimir, gzip o zstd): {1}";
    FoundNothing: "is empty", "está vacío";
    FoundBytes: "begins with {0}", "empieza por {0}";
    FaultNoCapture: "{0}: there is no capture file in this folder", "{0}: no hay ningún fichero de captura en esta carpeta";
    FaultLink: "{0}: link type {1} ({2}) is not supported; Ethernet, raw IP, PPP, Cisco HDLC, Linux SLL and SLL2, and BSD loopback are",
        "{0}: no se admite el tipo de enlace {1} ({2}); se admiten Ethernet, IP sin enlace, PPP, Cisco HDLC, Linux SLL y SLL2 y BSD loopback";
    LinkPrivate: "private use", "uso privado";
    LinkNameless: "no name known here", "sin nombre conocido aquí";
    LinkArphrd: "the kernel's ARPHRD number", "el número ARPHRD del núcleo";
    LinkDlt: "libpcap's DLT number", "el número DLT de libpcap";
    FaultTruncated: "{0}: cut short in the record at (uncompressed) byte {1}: {2} bytes are needed, {3} are there",
        "{0}: cortado en el registro del byte {1} (sin comprimir): hacen falta {2} bytes y hay {3}";
    FaultCorrupt: "{0}: corrupt at (uncompressed) byte {1}: {2}", "{0}: dañado en el byte {1} (sin comprimir): {2}";
    CorruptVersion: "version {0} of the format is not known, 2.x is", "no se conoce la versión {0} del formato, sí la 2.x";
    CorruptFrame: "a frame of {0} bytes is stated, at most {1} are accepted (max_frame_bytes)",
        "se declara una trama de {0} bytes y se aceptan como mucho {1} (max_frame_bytes)";
    CorruptOrder: "a section with the byte order magic {0}", "una sección con la marca de orden de bytes {0}";
    CorruptLength: "a block of {0} bytes; a multiple of 4 from 12 on is expected",
        "un bloque de {0} bytes; se espera un múltiplo de 4 a partir de 12";
    CorruptBlock: "a block of {0} bytes is stated, at most {1} are accepted (max_block_bytes)",
        "se declara un bloque de {0} bytes y se aceptan como mucho {1} (max_block_bytes)";
    CorruptTrailer: "a block of {0} bytes that ends with the length {1}", "un bloque de {0} bytes que termina con la longitud {1}";
    CorruptSectionHeader: "a section header block that is too short", "un bloque de cabecera de sección demasiado corto";
    CorruptSection: "a section of major version {0}, only 1 is known", "una sección de versión principal {0}, solo se conoce la 1";
    CorruptDescription: "an interface description block that is too short",
        "un bloque de descripción de interfaz demasiado corto";
    CorruptInterfaces: "more than {0} interfaces", "más de {0} interfaces";
    CorruptPacket: "a packet block that is too short", "un bloque de paquete demasiado corto";
    CorruptSimplePacket: "a simple packet block that is too short", "un bloque de paquete simple demasiado corto";
    CorruptRoom: "a packet of {0} bytes in a block with room for {1}", "un paquete de {0} bytes en un bloque con sitio para {1}";
    CorruptInterface: "a packet of interface {0} in a section with {1}", "un paquete de la interfaz {0} en una sección con {1}";
    FaultNoInterface: "{0}: no such interface; there are: {1}", "{0}: no existe esa interfaz; hay: {1}";
    StepWait: "waiting for packets", "al esperar paquetes";
    StepTap: "opening the tap", "al abrir la toma";
    StepLibpcap: "libpcap says", "dice libpcap";
    StepPacketSocket: "opening a packet socket (the capability CAP_NET_RAW is needed)",
        "al abrir un socket de paquetes (hace falta la capacidad CAP_NET_RAW)";
    StepAsk: "asking about the interface", "al preguntar por la interfaz";
    StepHardware: "asking for the hardware type", "al preguntar por el tipo de hardware";
    StepIsUp: "asking whether it is up", "al preguntar si está activa";
    StepMtu: "asking for the MTU", "al preguntar por la MTU";
    StepQueues: "asking for the queues", "al preguntar por las colas";
    StepRing: "making a ring of block_count blocks of block_bytes", "al crear un anillo de block_count bloques de block_bytes";
    StepMap: "mapping the ring", "al proyectar el anillo en memoria";
    StepFilter: "closing the filter", "al cerrar el filtro";
    StepSetFilter: "setting the filter", "al poner el filtro";
    StepBind: "binding to the interface", "al asociarse a la interfaz";
    StepPromiscuous: "making it promiscuous", "al ponerla en modo promiscuo";
    StepFanout: "sharing it among the workers (fanout)", "al repartirla entre los hilos (fanout)";
    StepTapFilter: "making the tap its filter", "al poner la toma como filtro";
    StepMemory: "taking memory for frames", "al reservar memoria para tramas";
    StepXdpSocket: "opening an AF_XDP socket (CAP_NET_RAW is needed)", "al abrir un socket AF_XDP (hace falta CAP_NET_RAW)";
    StepRegister: "registering memory (CAP_IPC_LOCK, or more locked memory, is needed)",
        "al registrar memoria (hace falta CAP_IPC_LOCK o más memoria bloqueada)";
    StepFillRing: "making a fill ring", "al crear un anillo de relleno";
    StepReceiveRing: "making a receive ring", "al crear un anillo de recepción";
    StepHandOver: "handing the socket to the program", "al entregar el socket al programa";
    StepBindQueue: "binding to a queue", "al asociarse a una cola";
    SettingName: "an interface name of 1 to 15 bytes is expected", "se espera un nombre de interfaz de 1 a 15 bytes";
    SettingTwice: "{0} is there twice", "{0} está dos veces";
    SettingPages: "a multiple of 4096 is expected", "se espera un múltiplo de 4096";
    SettingOneWorker: "1 is expected with the mode libpcap", "se espera 1 con el modo libpcap";
    SettingOutside: "{0} is not within {1} and {2}", "{0} no está entre {1} y {2}";
    SettingClassOfIt: "this is a class of IT already", "esta ya es una clase de IT";
    SettingNotShed: "{0} is no class that is shed: {1}", "{0} no es una clase que se descarte: {1}";
    SettingClasses: "there are {0} classes with those of IT, {1} is the most",
        "hay {0} clases con las de IT, como mucho puede haber {1}";

    // A wrong command line.
    Help: "help", "ayuda";
    Usage: "Usage", "Uso";
    MistakeArgument: "unknown argument `{0}`", "argumento desconocido `{0}`";
    MistakeCommand: "there is no command `{0}`", "no existe la orden `{0}`";
    MistakeMissing: "missing: {0}", "falta: {0}";
    MistakeNoValue: "`{0}` needs a value", "`{0}` necesita un valor";
    MistakeConflict: "`{0}` does not go with `{1}`", "`{0}` no va con `{1}`";
    HelpCapturesFirst: "captures stand before `--rules`, which takes all that follows it",
        "las capturas van antes de `--rules`, que se queda con todo lo que le sigue";
    MistakeTryHelp: "`--help` tells more.", "`--help` cuenta más.";

    EventsIn: "events: {0}", "eventos: {0}";
    WorkerFailed: "a worker failed", "falló un hilo de trabajo";
    MetricsOn: "metrics on {0}", "métricas en {0}";
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
                english != spanish || matches!(message, Message::Error | Message::Verbatim | Message::Colon),
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
