//! Enumerations, by the names of the standard.

use crate::field::Names;

pub(super) const FORMATS: Names = &[(0, "i"), (1, "s"), (3, "u")];

pub(super) const STARTDT_ACT: u8 = 1;
pub(super) const STARTDT_CON: u8 = 2;
pub(super) const STOPDT_ACT: u8 = 4;
pub(super) const STOPDT_CON: u8 = 8;
pub(super) const TESTFR_ACT: u8 = 16;
pub(super) const TESTFR_CON: u8 = 32;

/// Control functions of the U format (104 §5.1, figure 8).
pub(super) const U_FUNCTIONS: Names = &[
    (STARTDT_ACT as u64, "startdt_act"),
    (STARTDT_CON as u64, "startdt_con"),
    (STOPDT_ACT as u64, "stopdt_act"),
    (STOPDT_CON as u64, "stopdt_con"),
    (TESTFR_ACT as u64, "testfr_act"),
    (TESTFR_CON as u64, "testfr_con"),
];

/// Type identifications (101 §7.2.1.1, 104 §6; 81 to 95: 60870-5-7).
pub(super) const TYPES: Names = &[
    (1, "m_sp_na_1"),
    (2, "m_sp_ta_1"),
    (3, "m_dp_na_1"),
    (4, "m_dp_ta_1"),
    (5, "m_st_na_1"),
    (6, "m_st_ta_1"),
    (7, "m_bo_na_1"),
    (8, "m_bo_ta_1"),
    (9, "m_me_na_1"),
    (10, "m_me_ta_1"),
    (11, "m_me_nb_1"),
    (12, "m_me_tb_1"),
    (13, "m_me_nc_1"),
    (14, "m_me_tc_1"),
    (15, "m_it_na_1"),
    (16, "m_it_ta_1"),
    (17, "m_ep_ta_1"),
    (18, "m_ep_tb_1"),
    (19, "m_ep_tc_1"),
    (20, "m_ps_na_1"),
    (21, "m_me_nd_1"),
    (30, "m_sp_tb_1"),
    (31, "m_dp_tb_1"),
    (32, "m_st_tb_1"),
    (33, "m_bo_tb_1"),
    (34, "m_me_td_1"),
    (35, "m_me_te_1"),
    (36, "m_me_tf_1"),
    (37, "m_it_tb_1"),
    (38, "m_ep_td_1"),
    (39, "m_ep_te_1"),
    (40, "m_ep_tf_1"),
    (41, "s_it_tc_1"),
    (45, "c_sc_na_1"),
    (46, "c_dc_na_1"),
    (47, "c_rc_na_1"),
    (48, "c_se_na_1"),
    (49, "c_se_nb_1"),
    (50, "c_se_nc_1"),
    (51, "c_bo_na_1"),
    (58, "c_sc_ta_1"),
    (59, "c_dc_ta_1"),
    (60, "c_rc_ta_1"),
    (61, "c_se_ta_1"),
    (62, "c_se_tb_1"),
    (63, "c_se_tc_1"),
    (64, "c_bo_ta_1"),
    (70, "m_ei_na_1"),
    (81, "s_ch_na_1"),
    (82, "s_rp_na_1"),
    (83, "s_ar_na_1"),
    (84, "s_kr_na_1"),
    (85, "s_ks_na_1"),
    (86, "s_kc_na_1"),
    (87, "s_er_na_1"),
    (90, "s_us_na_1"),
    (91, "s_uq_na_1"),
    (92, "s_ur_na_1"),
    (93, "s_uk_na_1"),
    (94, "s_ua_na_1"),
    (95, "s_uc_na_1"),
    (100, "c_ic_na_1"),
    (101, "c_ci_na_1"),
    (102, "c_rd_na_1"),
    (103, "c_cs_na_1"),
    (104, "c_ts_na_1"),
    (105, "c_rp_na_1"),
    (106, "c_cd_na_1"),
    (107, "c_ts_ta_1"),
    (110, "p_me_na_1"),
    (111, "p_me_nb_1"),
    (112, "p_me_nc_1"),
    (113, "p_ac_na_1"),
    (120, "f_fr_na_1"),
    (121, "f_sr_na_1"),
    (122, "f_sc_na_1"),
    (123, "f_ls_na_1"),
    (124, "f_af_na_1"),
    (125, "f_sg_na_1"),
    (126, "f_dr_ta_1"),
    (127, "f_sc_nb_1"),
];

/// Causes of transmission (101 §7.2.3).
pub(super) const CAUSES: Names = &[
    (1, "periodic"),
    (2, "background_scan"),
    (3, "spontaneous"),
    (4, "initialized"),
    (5, "request"),
    (6, "activation"),
    (7, "activation_confirmation"),
    (8, "deactivation"),
    (9, "deactivation_confirmation"),
    (10, "activation_termination"),
    (11, "return_information_remote_command"),
    (12, "return_information_local_command"),
    (13, "file_transfer"),
    (14, "authentication"),
    (15, "session_key_maintenance"),
    (16, "user_role_and_update_key_maintenance"),
    (20, "interrogated_by_station"),
    (21, "interrogated_by_group_1"),
    (22, "interrogated_by_group_2"),
    (23, "interrogated_by_group_3"),
    (24, "interrogated_by_group_4"),
    (25, "interrogated_by_group_5"),
    (26, "interrogated_by_group_6"),
    (27, "interrogated_by_group_7"),
    (28, "interrogated_by_group_8"),
    (29, "interrogated_by_group_9"),
    (30, "interrogated_by_group_10"),
    (31, "interrogated_by_group_11"),
    (32, "interrogated_by_group_12"),
    (33, "interrogated_by_group_13"),
    (34, "interrogated_by_group_14"),
    (35, "interrogated_by_group_15"),
    (36, "interrogated_by_group_16"),
    (37, "requested_by_general_counter"),
    (38, "requested_by_group_1_counter"),
    (39, "requested_by_group_2_counter"),
    (40, "requested_by_group_3_counter"),
    (41, "requested_by_group_4_counter"),
    (44, "unknown_type_identification"),
    (45, "unknown_cause_of_transmission"),
    (46, "unknown_common_address"),
    (47, "unknown_information_object_address"),
];

/// Bits of the quality descriptors (101 §7.2.6.3, §7.2.6.4).
pub(super) const QUALITIES: Names = &[
    (1, "overflow"),
    (8, "elapsed_time_invalid"),
    (16, "blocked"),
    (32, "substituted"),
    (64, "not_topical"),
    (128, "invalid"),
];

/// Qualifier of command (101 §7.2.6.26).
pub(super) const COMMAND_QUALIFIERS: Names =
    &[(0, "no_additional_definition"), (1, "short_pulse"), (2, "long_pulse"), (3, "persistent_output")];

/// Qualifier of interrogation (101 §7.2.6.22).
pub(super) const INTERROGATIONS: Names = &[
    (20, "station"),
    (21, "group_1"),
    (22, "group_2"),
    (23, "group_3"),
    (24, "group_4"),
    (25, "group_5"),
    (26, "group_6"),
    (27, "group_7"),
    (28, "group_8"),
    (29, "group_9"),
    (30, "group_10"),
    (31, "group_11"),
    (32, "group_12"),
    (33, "group_13"),
    (34, "group_14"),
    (35, "group_15"),
    (36, "group_16"),
];

/// Request of the qualifier of counter interrogation (101 §7.2.6.23).
pub(super) const COUNTER_REQUESTS: Names =
    &[(1, "group_1"), (2, "group_2"), (3, "group_3"), (4, "group_4"), (5, "general")];

/// Freeze of the qualifier of counter interrogation (101 §7.2.6.23).
pub(super) const COUNTER_FREEZES: Names =
    &[(0, "read"), (1, "freeze_without_reset"), (2, "freeze_with_reset"), (3, "reset")];

/// Qualifier of reset process (101 §7.2.6.27).
pub(super) const RESETS: Names = &[(1, "general_reset_of_process"), (2, "reset_of_time_tagged_event_buffer")];

/// Cause of initialization (101 §7.2.6.21).
pub(super) const INITIALIZATIONS: Names = &[(0, "local_power_on"), (1, "local_manual_reset"), (2, "remote_reset")];

/// Kind of parameter (101 §7.2.6.24).
pub(super) const PARAMETERS: Names = &[(1, "threshold"), (2, "smoothing_factor"), (3, "low_limit"), (4, "high_limit")];

/// Qualifier of parameter activation (101 §7.2.6.25).
pub(super) const PARAMETER_ACTIVATIONS: Names =
    &[(1, "parameters_loaded_before"), (2, "parameter_of_object"), (3, "cyclic_transmission_of_object")];

/// Names of files (101 §7.2.6.33).
pub(super) const FILES: Names =
    &[(1, "transparent"), (2, "disturbance_data"), (3, "sequences_of_events"), (4, "sequences_of_analogue_values")];

/// Select and call qualifier (101 §7.2.6.30).
pub(super) const FILE_CALLS: Names = &[
    (1, "select_file"),
    (2, "request_file"),
    (3, "deactivate_file"),
    (4, "delete_file"),
    (5, "select_section"),
    (6, "request_section"),
    (7, "deactivate_section"),
];

/// Last section or segment qualifier (101 §7.2.6.31).
pub(super) const FILE_ENDS: Names = &[
    (1, "file_without_deactivation"),
    (2, "file_with_deactivation"),
    (3, "section_without_deactivation"),
    (4, "section_with_deactivation"),
];

/// Acknowledge qualifier (101 §7.2.6.32).
pub(super) const FILE_ACKNOWLEDGEMENTS: Names =
    &[(1, "file_positive"), (2, "file_negative"), (3, "section_positive"), (4, "section_negative")];

/// What kept a file service from being done: the high half of its qualifier (101 §7.2.6.30).
pub(super) const FILE_ERRORS: Names = &[
    (1, "memory_space_not_available"),
    (2, "checksum_failed"),
    (3, "unexpected_communication_service"),
    (4, "unexpected_name_of_file"),
    (5, "unexpected_name_of_section"),
];
