package graph_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/graph"
)

// A connector that sends with Graph. Another connector sends by SMTP what Graph cannot
// send, and all mail while Graph cannot be reached.
func Example() {
	router := new(routing.Router)
	defer router.Close()
	t := &graph.Transport{
		Mailbox: "scanner@contoso.com",
		Token:   func(context.Context) (string, error) { return "a token for https://graph.microsoft.com", nil },
		Fallback: routing.TransportFunc(func(ctx context.Context, j *routing.Job) []queue.Result {
			return router.Deliver(ctx, queue.NextHop{Connector: "upstream"}, j.Message, j.Recipients)
		}),
	}
	if err := t.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	table, err := routing.NewTable(
		routing.Connector{Name: "graph", Spaces: []string{"*"}, Transport: t, Fallback: "upstream"},
		routing.Connector{Name: "upstream", SmartHosts: routing.SmartHosts("smtp.example.net:587")})
	if err != nil {
		fmt.Println(err)
		return
	}
	router.Table = table
	fmt.Println("SIZE", t.Size(), "without Fallback")
	// Output: SIZE 2868928 without Fallback
}
