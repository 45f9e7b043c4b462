package console

import (
	"cmp"
	"slices"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// overview is the first page.
type overview struct {
	Hostname  string         `json:"hostname"`
	Health    gateway.Health `json:"health"`
	Totals    totals         `json:"totals"`
	Listeners []listenerView `json:"listeners"`
	Largest   []queueView    `json:"largest" doc:"The next hops with the most messages."`
	Retry     []queueView    `json:"retry" doc:"The next hops that could not be reached, those with the oldest mail first."`
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
	infos, err := g.Queue.Queues(x.ctx())
	if err != nil {
		return nil, err
	}
	v := &overview{Hostname: g.Hostname, Health: g.Health(x.ctx()), Totals: *t, Listeners: []listenerView{}}
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
	v.Largest = firstQueues(infos, isHopWithMail, func(a, b queue.QueueInfo) int { return cmp.Compare(b.Stored, a.Stored) })
	v.Retry = firstQueues(infos, isUnreachable, queueOrders["oldest"])
	return v, nil
}

func isHopWithMail(i queue.QueueInfo) bool {
	return i.Status != queue.QueueAside && i.Hop != (queue.NextHop{}) && i.Stored > 0
}

func isUnreachable(i queue.QueueInfo) bool {
	return i.Status == queue.QueueRetry || i.Status == queue.QueueConnecting
}

// firstQueues returns the views of the first next hops of those that are selected.
func firstQueues(infos []queue.QueueInfo, selects func(queue.QueueInfo) bool, order func(a, b queue.QueueInfo) int) []queueView {
	var some []queue.QueueInfo
	for _, i := range infos {
		if selects(i) {
			some = append(some, i)
		}
	}
	slices.SortStableFunc(some, order)
	views := []queueView{}
	for _, i := range some[:min(len(some), overviewRows)] {
		views = append(views, viewOfQueue(i))
	}
	return views
}
