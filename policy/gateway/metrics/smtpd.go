package metrics

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// smtpd adds the statistics of the servers, all together.
func smtpd(b *builder, c smtpserver.Counters) {
	b.add("smtpd_sessions", Gauge, "SMTP sessions of clients that are open now.", value(c.Current))
	b.add("smtpd_sessions_total", Counter, "SMTP sessions of clients that have begun.", value(c.Sessions))
	b.add("smtpd_messages_total", Counter, "Messages that clients have sent, by result: accepted, discarded, refused (5xx) or deferred (4xx).",
		value(c.Messages, "result", "accepted"), value(c.Discarded, "result", "discarded"),
		value(c.Refused, "result", "refused"), value(c.Deferred, "result", "deferred"))
	b.add("smtpd_bytes_total", Counter, "Bytes of content that clients have sent.", value(c.Bytes))
	var replies []Sample
	for _, code := range slices.Sorted(maps.Keys(c.Replies)) {
		replies = append(replies, value(c.Replies[code], "code", strconv.Itoa(code)))
	}
	b.add("smtpd_replies_total", Counter, "Replies to clients, by code.", replies...)
	b.add("smtpd_refusals_total", Counter, "Refusals, by the agent or the part of the server that refused.", byName("agent", c.Refusals)...)
	var logins []Sample
	mechanisms := map[string]int64{}
	maps.Copy(mechanisms, c.Logins)
	maps.Copy(mechanisms, c.FailedLogins)
	for _, m := range slices.Sorted(maps.Keys(mechanisms)) {
		logins = append(logins, value(c.Logins[m], "mechanism", m, "result", "ok"), value(c.FailedLogins[m], "mechanism", m, "result", "failed"))
	}
	b.add("smtpd_auth_total", Counter, "Logins of clients, by SASL mechanism and result.", logins...)
	var versions []Sample
	for _, v := range slices.Sorted(maps.Keys(c.TLSVersions)) {
		versions = append(versions, value(c.TLSVersions[v], "version", v, "result", "ok"))
	}
	versions = append(versions, value(c.TLSFailed, "version", "", "result", "failed"))
	b.add("smtpd_tls_total", Counter, "TLS handshakes with clients, by version and result. A handshake that failed has no version.", versions...)
	b.add("smtpd_accept_duration_seconds", HistogramType, "Time from the end of a message's data to the reply.", histogram(c.Accept))
	b.add("smtpd_panics_total", Counter, "Panics of agents and of the handler.", value(c.Panics))
}

// byName returns samples with one label, in the order of its values.
func byName(label string, counts map[string]int64) (all []Sample) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, value(counts[name], label, name))
	}
	return all
}

// word returns a name with '_' for each space, as label values that are words have.
func word(name string) string { return strings.ReplaceAll(name, " ", "_") }

// words is byName for names that may contain spaces.
func words(label string, counts map[string]int64) []Sample {
	all := byName(label, counts)
	for i := range all {
		all[i].Labels[0].Value = word(all[i].Labels[0].Value)
	}
	return all
}
