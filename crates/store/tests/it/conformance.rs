//! The suite: every test of the story files, once per back end.

/// Instantiates every test for a back end, which is a module with `fresh() -> Fresh`.
macro_rules! conformance {
    ($backend:ident) => {
        $crate::conformance::suite! { $backend;
            publish: accepts_a_message, refuses_stale_routing, refuses_unknown_applications,
                repeats_by_idempotency_key, forgets_idempotency_keys, remembers_other_requests, keeps_event_ids_unique,
                resolves_equal_requests_at_the_same_time, accepts_concurrently_exactly_once;
            cloud_events: keeps_contexts, contexts_go_with_their_messages;
            claims: claims_what_is_due, bounds_claims_by_rows_and_bytes, pulls_the_backlog,
                lists_backlogged_endpoints, gives_back, holds_and_releases,
                holding_after_enabling_releases, takes_back_at_a_new_epoch, knows_the_highest_id,
                is_healthy;
            deliveries: records_an_end, records_a_retry, records_once, fences_by_epoch,
                switches_off_a_gone_endpoint,
                a_late_gone_leaves_a_changed_endpoint_alone, resends, resending_begins_anew,
                late_results_leave_a_resent_delivery_alone, refuses_to_resend,
                brings_up_what_waits_for_a_deleted_endpoint,
                brings_up_what_waits_for_a_deleted_application;
            applications: makes_and_finds, keeps_uids_unique, repeats, updates, deletes,
                pages_both_ways, routes_one_version;
            event_types: makes_and_lists, archives_and_revives, puts, deletes, repeats, keeps_rules,
                imports, imports_environments;
            endpoints: makes_and_finds, keeps_uids_unique, repeats, updates, enabling_ends_gone,
                deletes, keeps_headers, rotates_keys, bounds_live_keys, pages;
            history: finds_messages, filters_messages, pages_messages, expunges_payloads,
                finds_attempts, filters_attempts, expunges_responses, merges_by_endpoint,
                lists_destinations, keeps_applications_apart;
            retention: forgets_history, forgets_what_was_skipped_untried,
                forgets_in_small_batches, forgets_payloads_early,
                forgets_payloads_of_a_long_history, forgets_payloads_after_a_full_batch,
                forgets_unfinished_deliveries,
                late_results_leave_nothing;
            transport: keeps_policies, bounds_policies, keeps_anchor_sets, keeps_identities,
                counts_endpoints_with_few_pins, a_request_is_remembered_with_what_it_made,
                keeps_organisations_apart, keeps_what_is_named, an_endpoint_says_its_own,
                refuses_what_is_stale, forgets_with_the_endpoint, finds_endpoints;
            handshakes: keeps_the_newest, a_clock_that_was_ahead_keeps_nothing_out,
                keeps_many_at_once, ignores_what_is_gone,
                moves_pins_on, moves_certificates_on, counts_users_of_roots,
                knows_users_of_identities;
            order: takes_in_the_order_of_acceptance, takes_nothing_past_what_is_under_way,
                takes_the_rest_after_a_restart, keys_do_not_wait_for_each_other,
                one_key_does_not_fill_a_pull, many_stuck_keys_hide_nothing,
                a_blocked_head_waits_for_a_resend, a_finished_one_is_resent_at_the_end, skips,
                an_older_attempt_does_not_move_a_resent_head, what_is_held_holds_up_the_rest,
                a_blocked_one_ends_with_its_payload_or_endpoint, shows_the_heads;
            timing: keeps_what_is_said, begins_when_it_is_said, takes_what_has_expired,
                refuses_to_resend_what_has_expired, pulls_each_class_by_its_weight;
            tasks: begins_and_lists, repeats_and_bounds, recovers_what_failed, works_off_in_steps,
                goes_on_after_a_restart, a_task_that_is_cancelled_does_nothing_more,
                makes_no_second_delivery, ends_with_its_endpoint,
                recovers_in_the_order_and_class_and_time, waits_while_the_backlog_is_long,
                replays_what_is_missing, replays_what_is_chosen, cancels_deliveries,
                expunges_contents, broadcasts, forgets_what_ended, takes_turns;
            findings: counts_usage, looks_up_subscriptions, finds_out_in_steps,
                forgets_findings_with_their_task;
            tokens: keeps_api_tokens, replaces_the_text_of_a_repeated_one, bounds_api_tokens,
                cuts_off_by_time, ends_one, takes_once,
                takes_nothing_of_an_ended_application;
            operational: is_not_among_the_others, tells_of_endpoints, tells_what_attempts_come_to,
                tells_how_tasks_end,
                what_does_not_happen_is_not_told, only_who_wants_to_know_is_told,
                nothing_is_told_of_itself, bounds_the_listeners, says_what_is_to_be_done;
            statistics: counts_deliveries, counts_a_resent_one_where_it_ended_last, counts_attempts,
                counts_endpoints, forgets_counters;
            health: knows_since_when_an_endpoint_fails, switches_off_what_only_fails,
                who_works_now_and_then_stays, a_changed_endpoint_begins_anew,
                those_who_are_told_of_it_stay, enables_with_a_task, enables_all_or_nothing,
                a_retry_waits_for_the_one_that_is_switched_off;
            verifications: a_verification_ends_once, another_url_is_another_endpoint,
                what_is_demanded_holds_and_releases, operational_endpoints_are_free;
            model: behaves_like_the_model;
        }
    };
}
pub(crate) use conformance;

macro_rules! suite {
    ($backend:ident; $($file:ident: $($test:ident),*;)*) => {
        mod on {
            pub(super) mod $backend {$(
                mod $file {$(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $test() {
                        let fresh = crate::$backend::fresh();
                        crate::$file::$test(fresh.store()).await;
                    }
                )*}
            )*}
        }
    };
}
pub(crate) use suite;
