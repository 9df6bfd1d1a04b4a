//! S7: the log of snap7's server, in its own words.

use serde_json::Value;

/// The lines that snap7's server writes into its log for a transaction, from the record of it.
pub fn logged(record: &Value) -> Vec<String> {
    let (request, response) = (&record["s7comm"]["request"], &record["s7comm"]["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let control = |what: &str| vec![format!("CPU Control request : {what} --> OK")];
    let variables = |what: &str| {
        let answered = response["items"].as_array().into_iter().flatten();
        let items = request["items"].as_array().into_iter().flatten().zip(answered);
        items
            .map(|(item, answer)| {
                let area = if item["area"] == "data_block" { format!("DB{}", item["db"]) } else { "MK".to_owned() };
                let outcome = if answer["return_code"] == "success" { "OK" } else { "not OK" };
                let (start, size) = (&item["address"], &item["quantity"]);
                format!("{what} request, Area : {area}, Start : {start}, Size : {size} --> {outcome}")
            })
            .collect()
    };
    let block = &request["blocks"][0];
    match request["function"].as_str().or(request["service"].as_str()).unwrap_or_default() {
        "setup_communication" => vec![format!("The client requires a PDU size of {} bytes", request["pdu_length"])],
        "read_var" => variables("Read"),
        "write_var" => variables("Write"),
        "read_szl" => {
            let list = &request["szl"];
            vec![format!("Read SZL request, ID:0x{} INDEX:0x{} --> OK", text(&list["id"]), text(&list["index"]))]
        }
        "list_blocks" => vec!["Block list requested --> OK".into()],
        "list_blocks_of_type" => {
            let kind = text(&request["block_type"]).to_uppercase();
            vec![format!("Block of type {kind} list requested (start sequence) --> OK")]
        }
        "get_block_info" => {
            vec![format!("Block info requested {} {} --> OK", text(&block["type"]).to_uppercase(), block["number"])]
        }
        "start_upload" if response["error"] == "password_required" => {
            vec!["Block upload requested --> NOT PERFORMED (due to invalid security level)".into()]
        }
        "read_clock" => vec!["System clock read requested".into()],
        "set_clock" => vec!["System clock write requested".into()],
        "plc_password" => vec!["Security request : Set session password --> OK".into()],
        "clear_password" => vec!["Security request : Clear session password --> OK".into()],
        "plc_stop" => control("STOP"),
        "pi_service" => match (text(&request["pi_service"]).as_str(), request["arguments"].is_array()) {
            ("_INSE" | "_DELE", _) => control("Block Insert or Delete"),
            ("_GARB", _) => control("Memory compress"),
            ("_MODU", _) => control("Copy Ram to Rom"),
            ("P_PROGRAM", false) => control("Warm START"),
            ("P_PROGRAM", true) => control("Cold START"),
            other => vec![format!("{other:?}")],
        },
        other => vec![other.to_owned()],
    }
}
