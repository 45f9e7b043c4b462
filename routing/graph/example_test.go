package graph_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/graph"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A connector that sends with Graph, and by SMTP what Graph cannot send.
func Example() {
	upstream := &smtpclient.Destination{Name: "fallback", Hosts: smtpclient.HostList(smtpclient.Host{Name: "smtp.example.net"})}
	smtp := routing.SMTP(new(smtpclient.Transport))
	t := &graph.Transport{
		Mailbox: "scanner@contoso.com",
		Token:   func(context.Context) (string, error) { return "a token for https://graph.microsoft.com", nil },
		Fallback: routing.TransportFunc(func(ctx context.Context, j *routing.Job) []queue.Result {
			k := *j
			k.Destination = upstream
			return smtp.Deliver(ctx, &k)
		}),
	}
	if err := t.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	table, err := routing.NewTable(routing.Connector{Name: "graph", Spaces: []string{"*"}, Transport: t})
	if err != nil {
		fmt.Println(err)
		return
	}
	router := &routing.Router{Table: table}
	defer router.Close()
	fmt.Println("SIZE", t.Size())
	// Output: SIZE 2868928
}
