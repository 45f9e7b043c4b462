package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// The console of a relay listens on a loopback address. The URL with the token
// is printed at start.
func Example() {
	q := &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}}
	relay := &gateway.Gateway{Hostname: "relay.example.com", Queue: q}
	web := &console.Console{
		Gateway: relay,
		Address: "127.0.0.1:8025",
		Socket:  "/run/relay/console/socket", // for commands
	}
	relay.Tasks = append(relay.Tasks, web.Run)
	relay.Parts = append(relay.Parts, web)
	// relay.Run(ctx) runs both.
}

// An application serves the console under a path of its own web server, for the
// users that have logged in there.
func Example_authorize() {
	relay := &gateway.Gateway{Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}}}
	web := &console.Console{
		Gateway: relay,
		Prefix:  "/relay",
		Authorize: func(r *http.Request) (console.Access, error) {
			user, ok := r.Context().Value(userKey{}).(string) // set by the login of the application
			switch {
			case !ok:
				return console.Access{}, errors.New("not logged in")
			case user == "admin":
				return console.Access{Name: user, Role: console.Operator}, nil
			}
			return console.Access{Name: user, Role: console.Viewer}, nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/relay/", web)
}

// Settings that would give access to strangers are errors.
func ExampleConsole_Validate() {
	web := &console.Console{
		Gateway: &gateway.Gateway{Queue: &queue.Queue{}},
		Address: ":8025", // all addresses of this host
	}
	fmt.Println(web.Validate())
	// Output:
	// console: Address: :8025 can be reached from other hosts. It needs TLSConfig and Authorize; without them only a loopback address is possible, for example 127.0.0.1
}

type userKey struct{}

type discard struct{}

func (discard) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{}, nil
}

func (discard) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}
