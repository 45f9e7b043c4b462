// Package metrics exports the statistics of a running relay: for Prometheus and
// programs that read its format, as text over HTTP, without a library.
//
//	relay := &gateway.Gateway{...}
//	http.Handle("/metrics", &metrics.Exporter{Gateway: relay})
//
// [Exporter.Gather] returns the same numbers to the program. The nested modules
// policy/gateway/metrics/prometheus and policy/gateway/metrics/otel read them for
// prometheus/client_golang and for OpenTelemetry.
//
// # Names
//
// All names begin with bridgehead_.
//
//   - smtpd_ has the receiving side: sessions, sessions_total, messages_total{result},
//     bytes_total, replies_total{code}, refusals_total{agent},
//     auth_total{mechanism,result}, tls_total{version,result},
//     accept_duration_seconds, panics_total.
//   - queue_ has the queue: messages{state}, bytes, oldest_seconds, messages_by_age,
//     hops{status}, enqueued_total, attempts_total{result}, recipients_total{outcome},
//     delivery_age_seconds{priority}, reports_total{action}, bad_mail_total,
//     poison_total, throttled_total{reason}, events_dropped_total.
//   - smtp_ has the sending side, if the Deliverer of the queue is a routing.Router:
//     connections, connects_total{result}, sessions_total{result}, messages_total,
//     bytes_total, replies_total{stage,enhanced}, duration_seconds{stage},
//     tls_total{verified}, tls_failures_total.
//   - store_ has the store, if it is a queue.StoreReporter: writable, free_bytes,
//     commit_duration_seconds, commit_messages, figure{name}, warnings. The text of
//     the warnings is in the health of the relay.
//   - nodes{state} and node_ have the nodes, if the store is a queue.Cluster:
//     node_state{node,state}, node_silent_seconds{node}, node_leased_messages{node},
//     node_draining{node}. Only the 100 nodes that have reported last have a name
//     there, and none that was stopped. All nodes export the same numbers.
//   - next_hop_ has the busiest next hops, only with Exporter.NextHops.
//   - healthy{check}, start_time_seconds, build_info{version,goversion},
//     tls_certificate_expiry_timestamp_seconds{connector,name} and
//     scrape_errors_total.
//
// queue_oldest_seconds and queue_messages_by_age count only the messages that the queue
// delivers: not those that are held, suspended, poison messages or bad mail. So an
// alert by age does not fire because of a message that an operator has suspended. Alert by
// age, not by number: see alerts.yml and grafana.json in the folder of this
// package. An alert that is sent by mail must not go through the relay that it is about.
//
// No name and no value of a label comes from a client, so that the number of series is
// bounded.
//
// # Security
//
// The numbers tell strangers about a relay. Serve them on an address that only the
// monitoring system can reach, or behind an http.Handler that checks who asks.
package metrics
