package console

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// tracingView is the state of pipeline tracing.
type tracingView struct {
	Available bool      `json:"available" doc:"Whether the relay can trace messages."`
	Running   bool      `json:"running" doc:"Whether the messages of the sender are traced now."`
	Sender    string    `json:"sender,omitempty" doc:"The sender that was traced last; <> is the null reverse-path."`
	Dir       string    `json:"dir,omitempty" doc:"The folder of the snapshots, on the host of the relay."`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero" doc:"When tracing ends by itself."`
	Messages  int       `json:"messages" doc:"How many messages were traced."`
	Bytes     int64     `json:"bytes" doc:"The size of all files in the folder."`
	Ended     string    `json:"ended,omitempty" doc:"Why tracing has ended."`
}

func showTracing(x *call, _ struct{}) (*tracingView, error) {
	t := x.console.Tracing
	if t == nil {
		return &tracingView{}, nil
	}
	st := t.Status()
	return &tracingView{
		Available: true, Running: st.Sender != "" && st.Ended == "", Sender: st.Sender, Dir: st.Dir, Since: st.Since, Until: st.Until,
		Messages: st.Messages, Bytes: st.Bytes, Ended: st.Ended,
	}, nil
}

// maxTracing is the longest time for which the console starts tracing.
const maxTracing = 7 * 24 * time.Hour

// tracingParams are a sender and a time.
type tracingParams struct {
	Sender   string `param:"sender" doc:"The sender whose messages are traced; <> is the null reverse-path."`
	Duration string `param:"duration" doc:"After how long tracing ends by itself, as 30m, at most 168h. Default: the time in the settings of the relay."`
}

func planTracing(x *call, p tracingParams) (*plan, error) {
	if x.console.Tracing == nil {
		return nil, refuse(http.StatusConflict, "This relay cannot trace messages.")
	}
	sender := strings.TrimSpace(p.Sender)
	if sender == "" {
		return nil, wrongParameter("sender", "it is missing")
	}
	var d time.Duration
	if p.Duration != "" {
		var err error
		if d, err = time.ParseDuration(p.Duration); err != nil || d < time.Second || d > maxTracing {
			return nil, wrongParameter("duration", "it is not a time from 1s to 168h, as 30m")
		}
	}
	if err := x.console.Tracing.New(sender, d).Validate(); err != nil {
		return nil, wrongParameter("sender", "it is not an address or <>")
	}
	return &plan{
		Title: "Trace the messages of " + sender, Count: 1, Things: "sender", Back: "/tracing",
		Text: "Copies of the whole messages are written on the host of the relay, for its operators. If another sender is traced now, its tracing ends.",
		do: func(context.Context) (int, error) {
			if err := x.console.Tracing.Start(sender, d); err != nil {
				return 0, refuse(http.StatusConflict, "Tracing cannot start: "+inert(strings.TrimPrefix(err.Error(), "pipetrace: "))+".")
			}
			return 1, nil
		},
	}, nil
}

func planStopTracing(x *call, _ struct{}) (*plan, error) {
	if x.console.Tracing == nil {
		return nil, refuse(http.StatusConflict, "This relay cannot trace messages.")
	}
	st := x.console.Tracing.Status()
	if st.Sender == "" || st.Ended != "" {
		return nil, refuse(http.StatusConflict, "No messages are traced now.")
	}
	return &plan{
		Title: "Stop the tracing of " + st.Sender, Text: "The files stay.", Count: 1, Things: "sender", Back: "/tracing",
		do: func(context.Context) (int, error) {
			x.console.Tracing.Stop()
			return 1, nil
		},
	}, nil
}
