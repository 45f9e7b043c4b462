package console

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// fileParam is the parameter with a file.
const fileParam = "message"

// replayParams have a message.
type replayParams struct {
	Message []string `param:"message" doc:"The message, as it was exported with envelope=yes. In a form it is a file."`
}

func planReplay(x *call, p replayParams) (*plan, error) {
	if len(p.Message) != 1 || p.Message[0] == "" {
		return nil, wrongParameter(fileParam, "one message is needed")
	}
	m, err := queue.Import(queue.String(p.Message[0]))
	if err != nil {
		return nil, wrongParameter(fileParam, err.Error())
	}
	return &plan{
		Title: fmt.Sprintf("Replay a message from <%s> to %d recipients", m.From, len(m.Recipients)), Count: 1, Back: "/messages",
		do: func(ctx context.Context) (int, error) {
			if err := x.console.Gateway.Queue.Submit(ctx, m); err != nil {
				return 0, refuse(422, "The queue refuses the message: "+err.Error())
			}
			return 1, nil
		},
	}, nil
}
