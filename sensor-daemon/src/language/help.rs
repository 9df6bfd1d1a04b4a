//! What the command line says of its arguments, and below its help texts, in Spanish. The English stands where the arguments
//! do, since clap takes it from there, and is the key here: the help of an argument, or a line below a help text.

use super::Language;

/// The Spanish of a text of the command line; `None` of what is the same in every language, such as an example.
pub fn spanish(english: &str) -> Option<&'static str> {
    TEXTS.iter().find(|[key, _]| *key == english).map(|[_, spanish]| *spanish)
}

/// Why a text is no time.
pub const NO_MOMENT: &str = "a date, a time or how long ago is expected (2026-01-02, 2026-01-02T03:04:05Z, 15m)";

/// Why a value of the command line was refused, in a language: `english` is a parser's word, which may have no other.
pub fn reason(english: &str, language: Language) -> String {
    match language {
        Language::English => english.to_owned(),
        Language::Spanish => {
            spanish(english).map_or_else(|| english.replace(" is not in ", " no está en "), str::to_owned)
        }
    }
}

const TEXTS: &[[&str; 2]] = &[
    // Why values are refused.
    [NO_MOMENT, "se espera una fecha, una hora o cuánto tiempo hace (2026-01-02, 2026-01-02T03:04:05Z, 15m)"],
    ["invalid digit found in string", "se espera un número"],
    // Arguments.
    ["Language of what is shown", "Idioma de lo que se muestra"],
    ["Log more (-v debug, -vv everything)", "Registra más (-v depuración, -vv todo)"],
    ["Print help", "Muestra la ayuda"],
    ["Print help (see more with '--help')", "Muestra la ayuda (más con '--help')"],
    ["Print help (see a summary with '-h')", "Muestra la ayuda (un resumen con '-h')"],
    ["Print version", "Muestra la versión"],
    [
        "Configuration file [default: $VIGIA_CONFIG, else /etc/vigia/vigia.toml if it exists]",
        "Fichero de configuración [por defecto: $VIGIA_CONFIG; si no, /etc/vigia/vigia.toml si existe]",
    ],
    [
        "Rule file, folder or pattern, instead of those of the configuration; may be repeated",
        "Fichero de reglas, carpeta o patrón, en lugar de los de la configuración; se puede repetir",
    ],
    [
        "Interface to watch, instead of those of the configuration; may be repeated",
        "Interfaz que vigilar, en lugar de las de la configuración; se puede repetir",
    ],
    [
        "Folder of the journal, instead of that of the configuration",
        "Carpeta del diario, en lugar de la de la configuración",
    ],
    ["Capture file, or a folder of them", "Fichero de captura, o una carpeta de ellos"],
    [
        "Folder of the event files; made if it does not exist [default: the current one]",
        "Carpeta de los ficheros de eventos; se crea si no existe [por defecto: la actual]",
    ],
    [
        "Threads that process packets; the events are the same with any number",
        "Hilos que procesan paquetes; los eventos son los mismos con cualquier número",
    ],
    [
        "What is done with wrong checksums [default: as the configuration says]",
        "Qué se hace con sumas de comprobación erróneas [por defecto: lo que diga la configuración]",
    ],
    [
        "Write the histogram of every field of every dissected message to this file, as JSON",
        "Escribe en este fichero, como JSON, el histograma de cada campo de cada mensaje disecado",
    ],
    [
        "Read the captures again for the packets of alerts, and put them into this folder, a file for each flow",
        "Lee otra vez las capturas en busca de los paquetes de las alertas y los pone en esta carpeta, un fichero \
         por flujo",
    ],
    ["Print the summary as JSON on standard output", "Imprime el resumen como JSON en la salida estándar"],
    ["No progress bar, even on a terminal", "Sin barra de progreso, ni siquiera en un terminal"],
    ["Warnings are errors too", "Los avisos también son errores"],
    [
        "Fail on nothing but what keeps a sensor from starting: settings, no interface, and with `rules.strict` \
         rules at \
         fault",
        "Falla solo por lo que impide arrancar a un sensor: ajustes, ninguna interfaz y, con `rules.strict`, reglas \
         con \
         errores",
    ],
    [
        "Print all diagnostics as JSON on standard output",
        "Imprime todos los diagnósticos como JSON en la salida estándar",
    ],
    ["Only this severe or more severe", "Solo de esta gravedad o mayor"],
    ["Only of this rule; may be repeated", "Solo de esta regla; se puede repetir"],
    ["Only from this address", "Solo desde esta dirección"],
    ["Only to this address", "Solo hacia esta dirección"],
    ["Go on with what comes", "Sigue con lo que llegue"],
    ["Print the events as JSON, with their ids", "Imprime los eventos como JSON, con sus identificadores"],
    [
        "Only events from then on: a date, a time (UTC), or how long ago (`90s`, `15m`, `2h`, `3d`)",
        "Solo eventos desde entonces: una fecha, una hora (UTC) o hace cuánto (`90s`, `15m`, `2h`, `3d`)",
    ],
    ["Only events before then", "Solo eventos anteriores a entonces"],
    [
        "The journal, instead of that of the configuration: a copy, say",
        "El diario, en lugar del de la configuración: una copia, por ejemplo",
    ],
    ["Only this stream", "Solo esta secuencia"],
    [
        "File of the public key, instead of the one that stands in the journal",
        "Fichero de la clave pública, en lugar de la que está en el diario",
    ],
    [
        "Head that was noted before, which the chain must still have; may be repeated",
        "Cabeza anotada antes, que la cadena aún debe tener; se puede repetir",
    ],
    ["Print as JSON", "Imprime como JSON"],
    [
        "Remove it: a running sensor makes it anew within seconds, another one when it is started",
        "Lo quita: un sensor en marcha lo construye de nuevo en segundos; otro, cuando se arranque",
    ],
    ["Print the sensor's answer as JSON", "Imprime la respuesta del sensor como JSON"],
    ["Take the guard off this interface; may be repeated", "Quita la guarda de esta interfaz; se puede repetir"],
    [
        "Seconds for which the programs are timed; 0 to leave that out",
        "Segundos durante los que se miden los programas; 0 para no medirlos",
    ],
    [
        "Rule files, folders or patterns [default: those of the configuration]",
        "Ficheros de reglas, carpetas o patrones [por defecto: los de la configuración]",
    ],
    ["Exit with 1 when there are warnings", "Termina con 1 cuando hay avisos"],
    ["Print the findings as JSON", "Imprime los hallazgos como JSON"],
    [
        "Print the findings in the Static Analysis Results Interchange Format (SARIF 2.1.0)",
        "Imprime los hallazgos en el formato SARIF 2.1.0 (intercambio de resultados de análisis estático)",
    ],
    ["Signature id", "Identificador de la firma"],
    ["Generator id", "Identificador del generador"],
    [
        "Try the rule on captures (files or folders) and say how far it comes",
        "Prueba la regla con capturas (ficheros o carpetas) y dice hasta dónde llega",
    ],
    ["Near misses that are shown", "Casi aciertos que se muestran"],
    ["Protocols to list; all by default", "Protocolos que listar; todos por defecto"],
    [
        "Show what is in force and where each change came from",
        "Muestra lo que está en vigor y de dónde viene cada cambio",
    ],
    ["With --effective, only the rules that are changed", "Con --effective, solo las reglas que están cambiadas"],
    ["Captures (files or folders) to measure on", "Capturas (ficheros o carpetas) con las que medir"],
    ["Rules that are shown, the most expensive first", "Reglas que se muestran, las más costosas primero"],
    [
        "Folders in which, and below which, tests are looked for; or test files",
        "Carpetas en las que, y bajo las que, se buscan pruebas; o ficheros de pruebas",
    ],
    ["Name the tests that passed as well", "Nombra también las pruebas superadas"],
    ["Print the outcomes as JSON", "Imprime los resultados como JSON"],
    ["Id of an alert, or of a flow", "Identificador de una alerta, o de un flujo"],
    [
        "Folder of evidence, instead of that in the journal: of a replay, say",
        "Carpeta de pruebas, en lugar de la del diario: la de una reproducción, por ejemplo",
    ],
    ["Copy the file to there; `-` is standard output", "Copia el fichero ahí; `-` es la salida estándar"],
    // Below the help texts.
    ["Example:", "Ejemplo:"],
    ["Exit codes:", "Códigos de salida:"],
    ["Signals:", "Señales:"],
    ["  0  done", "  0  hecho"],
    [
        "  1  not done: configuration, rules, a file or the sensor stood in the way",
        "  1  no hecho: lo impidió la configuración, las reglas, un fichero o el sensor",
    ],
    [
        "  2  wrong command line; of `rules check`: errors in the rules; of `journal verify` and `evidence`: changes",
        "  2  orden mal escrita; de `rules check`: errores en las reglas; de `journal verify` y `evidence`: cambios",
    ],
    [
        "  3  a file that was read is damaged; everything before the damage was processed",
        "  3  un fichero leído está dañado; se procesó todo lo anterior al daño",
    ],
    ["  SIGTERM, SIGINT  drain and exit with 0", "  SIGTERM, SIGINT  vacía lo pendiente y termina con 0"],
    [
        "  SIGHUP           load rules and configuration again; bad ones do not replace good ones",
        "  SIGHUP           vuelve a cargar reglas y configuración; las malas no sustituyen a las buenas",
    ],
    ["  0  no errors; without --strict, warnings may be", "  0  sin errores; sin --strict puede haber avisos"],
    ["  1  warnings, and --strict", "  1  avisos, y --strict"],
    ["  2  errors: such rules do not load", "  2  errores: esas reglas no se cargan"],
    ["  0  all passed", "  0  todas superadas"],
    ["  1  a test failed, or a file is at fault", "  1  una prueba falló, o un fichero tiene errores"],
    [
        "Exits with 0 when all is good, with 1 when there are errors (with --strict: also warnings; with --start: \
         only what keeps a sensor from starting, since rules at fault are left out then).",
        "Termina con 0 si todo está bien, con 1 si hay errores (con --strict, también avisos; con --start, solo lo \
         que impide arrancar a un sensor, pues entonces las reglas con errores se dejan fuera).",
    ],
    [
        "Captures are pcap and pcapng files, plain or compressed with gzip or zstd. A folder stands for every \
         capture below \
         it.",
        "Las capturas son ficheros pcap y pcapng, tal cual o comprimidos con gzip o zstd. Una carpeta vale por todas \
         las de \
         debajo.",
    ],
    [
        "Events go to DIR/eve.json, in place of what was there. A damaged capture is processed up to the damage, which is \
         named; the exit code is then 3.",
        "Los eventos van a DIR/eve.json, en lugar de lo que hubiera. Una captura dañada se procesa hasta el daño, que se \
         nombra; el código es entonces 3.",
    ],
    [
        "A line an alert: time, severity (1 is the most severe), rule, from whom to whom, protocol, what it says.",
        "Una línea por alerta: hora, gravedad (1 es la mayor), regla, de quién a quién, protocolo, qué dice.",
    ],
    [
        "ALERT is the `event_id` of an alert, or a `flow_id`. Shown are the path of each capture file with its \
         packets, whether it is as it was signed, and what is known to be missing. Without ALERT all files are \
         listed. The alerts are comments on their packets in the files.",
        "ALERT es el `event_id` de una alerta, o un `flow_id`. Se muestran la ruta de cada captura con sus paquetes, \
         si está como se firmó, y qué se sabe que falta. Sin ALERT se listan todos los ficheros. Las alertas son \
         comentarios de sus paquetes en los ficheros.",
    ],
    [
        "Exits with 0 when there is evidence, with 1 when there is none, with 2 when a file is not as it was signed, \
         with 3 when one cannot be read.",
        "Termina con 0 si hay pruebas, con 1 si no las hay, con 2 si un fichero no está como se firmó, con 3 si \
         alguno no se puede leer.",
    ],
    [
        "The events come as lines of EVE JSON, alerts first, each with the `event_id` by which sinks get it.",
        "Los eventos salen como líneas de EVE JSON, primero las alertas, cada uno con el `event_id` con que lo \
         reciben los \
         sumideros.",
    ],
    ["It reads the whole journal.", "Lee el diario entero."],
    [
        "Sealed segments, and files of evidence, are held against the signed chain of them. Whoever can read the \
         private key, or put back all files as they were before, can deceive it; not the one who was told key and \
         heads before: note what it shows at another place.",
        "Los segmentos sellados, y los ficheros de pruebas, se comparan con su cadena firmada. Quien pueda leer la \
         clave privada, o reponer todos los ficheros como eran antes, puede engañarla; no a quien ya conocía clave y \
         cabezas: anote en otro lugar lo que muestra.",
    ],
    [
        "Exits with 0 when everything is as it was written, with 2 when something is not, with 1 when that cannot be \
         found \
         out.",
        "Termina con 0 si todo está como se escribió, con 2 si algo no lo está, con 1 si no se puede averiguar.",
    ],
    [
        "Keep it where those who could change the journal cannot change it.",
        "Guárdela donde no pueda cambiarla quien podría cambiar el diario.",
    ],
    [
        "Exits with 0 when the sensor answers and its packets add up, with 1 otherwise.",
        "Termina con 0 si el sensor responde y sus paquetes cuadran; si no, con 1.",
    ],
    [
        "It first says how much memory that is going to take: the old rules stay in force until the new ones are \
         compiled.",
        "Antes dice cuánta memoria va a ocupar: las reglas viejas siguen en vigor hasta que las nuevas están \
         compiladas.",
    ],
    [
        "When the new rules or configuration are bad, the sensor keeps the old ones and this command says why, and \
         exits \
         with 1.",
        "Si las reglas o la configuración nuevas son malas, el sensor conserva las viejas, y esta orden dice por qué y \
         termina con 1.",
    ],
    [
        "The sensor attaches the guard when it starts (capture.guard); it stays when the sensor ends.",
        "El sensor pone la guarda al arrancar (capture.guard); permanece cuando el sensor termina.",
    ],
    [
        "The kernel times its programs only while asked to, which takes CAP_SYS_ADMIN (or kernel.bpf_stats_enabled = \
         1); without it the time per packet is left out. Guards that stay when no sensor runs are shown by `vigia \
         guard`.",
        "El núcleo solo mide sus programas mientras se le pide, lo que exige CAP_SYS_ADMIN (o \
         kernel.bpf_stats_enabled = 1); sin ello falta el tiempo por paquete. Las guardas que quedan sin sensor las \
         muestra `vigia guard`.",
    ],
    [
        "One line a finding: file:line:column: severity[code]: what is wrong (what was expected).",
        "Una línea por hallazgo: fichero:línea:columna: gravedad[código]: qué está mal (qué se esperaba).",
    ],
    [
        "Besides what the rule compiler finds, the lints: no-fast-pattern, short-pattern, pcre-without-content, \
         shadowed-rule, never-matches, flowbit-never-set, flowbit-never-checked.",
        "Además de lo que halla el compilador de reglas: no-fast-pattern, short-pattern, pcre-without-content, \
         shadowed-rule, never-matches, flowbit-never-set, flowbit-never-checked.",
    ],
    [
        "With --capture, the rule is tried with every packet, piece of stream or message that it is inspected at, \
         condition by condition: what came furthest is shown first, with the condition that failed and what was there \
         instead. The other rules count as well: they set flowbits, and pass rules silence.",
        "Con --capture se prueba la regla con cada paquete, trozo de flujo o mensaje en que se la consulta, \
         condición por condición: primero lo que llegó más lejos, con la condición que falló y lo que había en su \
         lugar. Las demás reglas también cuentan: activan flowbits, y las reglas pass silencian.",
    ],
    [
        "Times include the measuring itself, some 50 ns a check: compare rules with each other, not with a stopwatch.",
        "Los tiempos incluyen la propia medida, unos 50 ns por prueba: compare unas reglas con otras, no con un \
         cronómetro.",
    ],
    [
        "With --effective, rules that overrides of the configuration switched off are listed too, and each change \
         says where it comes from: file:line of the override, and its reason.",
        "Con --effective se listan también las reglas que desactivan cambios de la configuración, y cada cambio dice \
         de dónde viene: fichero:línea del cambio, y su motivo.",
    ],
    [
        "A test file, NAME.test.toml, stands beside the rules. Paths in it are relative to it:",
        "Un fichero de pruebas, NOMBRE.test.toml, está junto a las reglas. Sus rutas son relativas a él:",
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_there_twice_and_each_is_another_in_spanish() {
        for (at, [english, spanish]) in TEXTS.iter().enumerate() {
            assert_ne!(english, spanish);
            assert!(TEXTS[..at].iter().all(|[other, _]| other != english), "{english}");
            // Placed below a help text, it is as far in.
            let indent = |text: &str| text.len() - text.trim_start().len();
            assert_eq!(indent(english), indent(spanish), "{english}");
        }
    }
}
