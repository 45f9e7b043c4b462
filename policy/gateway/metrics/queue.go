package metrics

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// queue adds the statistics of the queue. The counters are there even if the totals of
// the store cannot be read.
func (e *Exporter) queue(ctx context.Context, b *builder) error {
	t, err := e.Gateway.Queue.Totals(ctx)
	if err == nil {
		totals(b, t)
	}
	counts(b, e.Gateway.Queue.Counters())
	return err
}

// totals adds what is in the queue now.
func totals(b *builder, t queue.Totals) {
	b.add("queue_messages", Gauge, "Messages in the queue, by state.", byStatus("state", t.Messages)...)
	b.add("queue_bytes", Gauge, "Bytes of content of the messages in the queue.", value(t.Bytes))
	age := 0.0
	if !t.Oldest.IsZero() {
		age = max(t.Time.Sub(t.Oldest).Seconds(), 0)
	}
	b.add("queue_oldest_seconds", Gauge, "Age of the oldest message that is to be delivered, 0 if there is none.", value(age))
	b.add("queue_messages_by_age", GaugeHistogramType, "Messages in the queue that are to be delivered, by age in seconds. The counts can fall.", histogram(t.Ages))
	b.add("queue_hops", Gauge, "Next hops, by status.", byStatus("status", t.Hops)...)
}

// counts adds what the queue has done.
func counts(b *builder, c queue.Counters) {
	b.add("queue_enqueued_total", Counter, "Messages that were accepted into the queue, without its own reports.", value(c.Enqueued))
	b.add("queue_attempts_total", Counter, "Attempts to deliver, by result.", byName("result", c.Attempts)...)
	b.add("queue_recipients_total", Counter, "Results for recipients, by outcome. A recipient that is deferred will have another one.", byName("outcome", c.Recipients)...)
	var ages []Sample
	for _, p := range slices.Sorted(maps.Keys(c.DeliveryAge)) {
		ages = append(ages, histogram(c.DeliveryAge[p], "priority", p))
	}
	b.add("queue_delivery_age_seconds", HistogramType, "Time from the receipt of a message to its delivery, for each recipient, by priority.", ages...)
	b.add("queue_reports_total", Counter, "Delivery status notifications, by action.", byName("action", c.Reports)...)
	b.add("queue_bad_mail_total", Counter, "Messages that could be neither delivered nor reported.", value(c.BadMail))
	b.add("queue_poison_total", Counter, "Messages that were set aside because the process died while it handled them.", value(c.Poison))
	b.add("queue_throttled_total", Counter, "How often mail had to wait for a limit, by reason.", words("reason", c.Throttled)...)
	b.add("queue_events_dropped_total", Counter, "Events that subscriptions, such as the tracking log, have dropped because they were slow.", value(c.EventsDropped))
}

// byStatus returns samples with one label, in the order of its values.
func byStatus[S interface {
	comparable
	String() string
}](label string, counts map[S]int) []Sample {
	named := make(map[string]int64, len(counts))
	for s, n := range counts {
		named[s.String()] = int64(n)
	}
	return words(label, named)
}

// store adds the statistics of the store.
func (e *Exporter) store(b *builder) {
	r, ok := e.Gateway.Queue.Store.(queue.StoreReporter)
	if !ok {
		return
	}
	storeStats(b, r.StoreStats())
}

func storeStats(b *builder, st queue.StoreStats) {
	var free, duration, messages []Sample // what the store knows
	if st.Free >= 0 {
		free = append(free, value(st.Free))
	}
	if len(st.CommitDuration.Counts) > 0 {
		duration = append(duration, histogram(st.CommitDuration))
	}
	if len(st.CommitMessages.Counts) > 0 {
		messages = append(messages, histogram(st.CommitMessages))
	}
	var figures []Sample
	for _, name := range slices.Sorted(maps.Keys(st.Figures)) {
		figures = append(figures, value(st.Figures[name], "name", name))
	}
	b.add("store_writable", Gauge, "Whether the store can be written: 1, or 0 if it cannot.", value(flag(st.Err == nil)))
	b.add("store_free_bytes", Gauge, "Free space of the store's disk.", free...)
	b.add("store_commit_duration_seconds", HistogramType, "Time that a commit took to reach stable storage.", duration...)
	b.add("store_commit_messages", HistogramType, "New messages in a commit that has some.", messages...)
	b.add("store_figure", Gauge, "A further number that the store knows, by its name.", figures...)
	b.add("store_warnings", Gauge, "What an operator should change before the store fails: the number of warnings.", value(len(st.Warnings)))
}

// nextHops has the next hops of the last scrape.
type nextHops struct {
	last  []queue.QueueInfo
	until time.Time     // last is used until then
	place chan struct{} // has one place, for the scrape that uses the fields above
}

// nextHop adds the next hops that have the most messages, if that is required.
func (e *Exporter) nextHop(ctx context.Context, b *builder) error {
	if e.NextHops <= 0 {
		return nil
	}
	all, err := e.busiest(ctx)
	if err == nil {
		nextHopStats(b, all)
	}
	return err
}

func nextHopStats(b *builder, all []queue.QueueInfo) {
	var messages, bytes, oldest []Sample
	for i := range all {
		h := &all[i]
		labels := []string{"connector", h.Hop.Connector, "destination", h.Hop.Destination}
		messages = append(messages, value(h.Stored, labels...))
		bytes = append(bytes, value(h.Bytes, labels...))
		age := 0.0
		if !h.Oldest.IsZero() {
			age = max(time.Since(h.Oldest).Seconds(), 0)
		}
		oldest = append(oldest, value(age, labels...))
	}
	b.add("next_hop_messages", Gauge, "Messages in the queue for a next hop. Only the busiest ones are exported.", messages...)
	b.add("next_hop_bytes", Gauge, "Bytes of content of the messages for a next hop.", bytes...)
	b.add("next_hop_oldest_seconds", Gauge, "Age of the oldest message for a next hop.", oldest...)
}

// others is the number of entries of queue.Queue.Queues that are not next hops: the
// messages that are not routed yet, suspended ones, poison messages, bad mail and those
// that wait for FinalResults.
const others = 5

// busiest returns the next hops that have the most messages. Like queue.Queue.Totals,
// it uses an earlier result for a hundred times the time that it took, at most ten
// seconds.
func (e *Exporter) busiest(ctx context.Context) ([]queue.QueueInfo, error) {
	h := &e.hops
	select {
	case h.place <- struct{}{}:
		defer func() { <-h.place }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	if began.Before(h.until) {
		return h.last, nil
	}
	most := min(e.NextHops, maxNextHops)
	all, _, err := e.Gateway.Queue.QueuePage(ctx, queue.QueueQuery{Order: queue.ByMessages, Limit: most + others})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(i queue.QueueInfo) bool {
		return i.Status == queue.QueueAside || i.Hop == (queue.NextHop{}) || i.Hop.Destination == queue.FinalResultsQueue || i.Stored == 0
	})
	h.last = all[:min(len(all), most)]
	now := time.Now()
	h.until = now.Add(min(100*now.Sub(began), 10*time.Second))
	return h.last, nil
}
