package postgres_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/postgres"
)

// router delivers the mail. Usually it is a routing.Router.
var router queue.Deliverer

// One of several nodes that share a queue. Each node runs the same program. The receive
// side, which calls q.Submit, is left out: see examples/cluster for a whole relay.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Open waits for the database until ctx ends.
	store, err := postgres.Open(ctx, "postgres://relay@db1.example.com,db2.example.com/mail", &postgres.Options{
		PasswordFile: "/etc/relay/password",
		Logger:       slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() // gives the messages of this node to the others

	q := &queue.Queue{Store: store, Deliverer: router, Logger: slog.Default()}
	if err := q.Run(ctx); err != nil && ctx.Err() == nil {
		log.Print(err)
	}
}
