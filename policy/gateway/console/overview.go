package console

import (
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// overview is the first page.
type overview struct {
	Hostname  string         `json:"hostname"`
	Health    gateway.Health `json:"health"`
	Totals    totals         `json:"totals"`
	Usage     usage          `json:"usage"`
	Limit     *limitView     `json:"limit,omitempty" doc:"The limit because of which all mail waits, or most of it."`
	Frozen    bool           `json:"frozen" doc:"Whether receiving is paused."`
	Paused    bool           `json:"paused" doc:"Whether sending is paused."`
	Nodes     *nodeCounts    `json:"nodes,omitempty" doc:"Set if several nodes can share the store."`
	Listeners []listenerView `json:"listeners"`
	Largest   []queueView    `json:"largest" doc:"The next hops with the most messages."`
	Retry     []queueView    `json:"retry" doc:"The next hops that could not be reached, those with the oldest mail first."`
}

// usage is how much of the limits of the queue is used.
type usage struct {
	Active        int   `json:"active" doc:"Active messages."`
	MaxActive     int   `json:"maxActive"`
	Memory        int64 `json:"memoryBytes" doc:"The size of their content in memory."`
	MaxMemory     int64 `json:"maxMemoryBytes"`
	Deliveries    int   `json:"deliveries" doc:"Deliveries in progress."`
	MaxDeliveries int   `json:"maxDeliveries"`
}

// nodeCounts has how many nodes of each state there are, and how many drain.
type nodeCounts struct {
	Alive    int `json:"alive" doc:"With those that drain."`
	Silent   int `json:"silent"`
	Dead     int `json:"dead"`
	Draining int `json:"draining"`
}

type listenerView struct {
	Connector string `json:"connector"`
	Address   string `json:"address" doc:"Empty if the socket is not open."`
}

// overviewRows is the length of the lists on the first page.
const overviewRows = 10

func showOverview(x *call, _ struct{}) (*overview, error) {
	g := x.console.Gateway
	t, err := x.console.live.get(x.ctx(), g.Queue)
	if err != nil {
		return nil, err
	}
	v := &overview{Hostname: g.Hostname, Health: g.Health(x.ctx()), Totals: *t, Listeners: []listenerView{}}
	st := g.Queue.State()
	v.Usage = usage{st.Active, st.Limits.Active, st.Memory, st.Limits.Memory, st.Deliveries, st.Limits.Deliveries}
	v.Limit, v.Frozen, v.Paused = viewOfLimit(st.Limit), st.Frozen, st.Paused
	if v.Nodes, err = x.countNodes(); err != nil {
		return nil, err
	}
	for _, l := range g.Listeners {
		one := listenerView{}
		if l.Server != nil {
			one.Connector = l.Server.Name
		}
		if a := l.Addr(); a != nil {
			one.Address = a.String()
		}
		v.Listeners = append(v.Listeners, one)
	}
	// More than are shown: messages that are set aside or not routed are no queues.
	v.Largest, err = x.firstQueues(queue.QueueQuery{Order: queue.ByMessages, Limit: overviewRows + 5}, func(i queue.QueueInfo) bool {
		return i.Status != queue.QueueAside && i.Hop != (queue.NextHop{}) && i.Stored > 0
	})
	if err != nil {
		return nil, err
	}
	v.Retry, err = x.firstQueues(queue.QueueQuery{Status: queue.QueueRetry, Order: queue.ByOldest, Limit: overviewRows}, func(queue.QueueInfo) bool { return true })
	return v, err
}

// firstQueues returns the views of the first next hops that are selected.
func (x *call) firstQueues(query queue.QueueQuery, selects func(queue.QueueInfo) bool) ([]queueView, error) {
	page, _, err := x.console.Gateway.Queue.QueuePage(x.ctx(), query)
	views := []queueView{}
	for _, i := range page {
		if selects(i) && len(views) < overviewRows {
			views = append(views, viewOfQueue(i))
		}
	}
	return views, err
}
