package queue_test

import (
	"context"
	"fmt"
	"io"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// An application that sends mail processes the reports about it in Go: those of
// its own queue, and those from other hosts if its server accepts them.
func Example_reports() {
	reports := routing.TransportFunc(func(_ context.Context, j *routing.Job) []queue.Result {
		c := j.Message.Content
		report, err := dsn.Parse(io.NewSectionReader(c, 0, c.Size()))
		if err != nil {
			return refuse(j, "Only delivery reports are accepted here")
		}
		_, subject := dsn.IDAndSubject(report.Original)
		for _, r := range report.Recipients {
			fmt.Printf("%s to %s: %s: %s\n", subject, r.Final, r.Action, r.Diagnostic)
		}
		return []queue.Result{{Outcome: queue.Success}}
	})
	table, err := routing.NewTable(
		routing.Connector{Name: "reports", Spaces: []string{"app.example.com"}, Transport: reports, Exclusive: true},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Transport: routing.TransportFunc( // a real application sends by SMTP
			func(_ context.Context, j *routing.Job) []queue.Result { return refuse(j, "No such user") })})
	if err != nil {
		fmt.Println(err)
		return
	}
	router := &routing.Router{Table: table, Hostname: "app.example.com"}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "app.example.com"}
	go q.Run(context.Background())
	err = q.Submit(context.Background(), &queue.Message{
		From:       "bounces@app.example.com",
		Recipients: queue.Rcpt("unknown@example.net"),
		Content:    queue.String("From: hello@app.example.com\r\nSubject: Order 4711\r\n\r\nThank you.\r\n"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	q.Drain(context.Background())
	q.Shutdown(context.Background())
	// Output: Order 4711 to unknown@example.net: failed: 550 5.1.1 No such user
}

func refuse(j *routing.Job, text string) []queue.Result {
	results := make([]queue.Result, len(j.Recipients))
	for i := range results {
		results[i] = queue.Result{Outcome: queue.Failure, Host: "mx.example.net",
			Reply: smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: text}}
	}
	return results
}
