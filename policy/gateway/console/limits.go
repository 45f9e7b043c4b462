package console

import (
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// limitsView has the limits in force of the parts of the relay.
type limitsView struct {
	Memory int64        `json:"memoryLimit" doc:"The memory in bytes that default limits were calculated from. 0 means that there is no limit."`
	Parts  []limitsPart `json:"parts"`
}

// limitsPart are the limits of one part.
type limitsPart struct {
	Name   string       `json:"name" doc:"For example: receive connector smtp, queue, store."`
	Limits []site.Limit `json:"limits" doc:"Settings, defaults, and what was calculated from the memory limit."`
}

func showLimits(x *call, _ struct{}) (*limitsView, error) {
	g := x.console.Gateway
	v := &limitsView{Memory: g.MemoryInForce(), Parts: []limitsPart{}}
	add := func(name string, part any) {
		if l, is := part.(site.Limiter); is {
			v.Parts = append(v.Parts, limitsPart{name, l.LimitsInForce()})
		}
	}
	for _, c := range g.ReceiveConnectors() {
		add("receive connector "+c.Name, c.Server)
	}
	add("queue", g.Queue)
	add("store", g.Queue.Store)
	return v, nil
}
