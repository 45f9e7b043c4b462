package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// maxAccounts limits the memory that clients can use.
const maxAccounts = 100_000

// A service has accounts. It keeps them in memory; a real service has a
// database.
type service struct {
	listen string
	log    *slog.Logger
	mailer *mailer

	mu       sync.Mutex        // guards what follows
	accounts map[string]string // state of the welcome message, by address
	mails    map[string]string // address of an account, by the ID of its message, until the message has ended
}

func newService(s *settings, log *slog.Logger) (*service, error) {
	m, err := newMailer(s, log)
	if err != nil {
		return nil, err
	}
	svc := &service{listen: s.listen, log: log, mailer: m, accounts: map[string]string{}, mails: map[string]string{}}
	m.Tasks = append(m.Tasks, svc.serve)
	return svc, nil
}

// signUp creates an account and sends a welcome message to its owner.
func (svc *service) signUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	to, err := mail.ParseAddress(r.FormValue("email"))
	if err == nil && strings.HasSuffix(to.Address, "]") { // an address literal: a client must not name hosts of our network
		err = errors.New("the address must have a domain name")
	}
	if err != nil {
		http.Error(w, "email: "+err.Error(), http.StatusBadRequest)
		return
	}
	id := rand.Text()
	svc.mu.Lock()
	_, exists := svc.accounts[to.Address]
	full := len(svc.accounts) >= maxAccounts
	if !exists && !full { // before the first event about the message
		svc.accounts[to.Address], svc.mails[id] = "waiting", to.Address
	}
	svc.mu.Unlock()
	if exists { // a second welcome would let a client flood a mailbox
		http.Error(w, "the account exists", http.StatusConflict)
		return
	}
	if full {
		http.Error(w, "no more accounts are accepted at present", http.StatusServiceUnavailable)
		return
	}
	err = svc.mailer.send(r.Context(), id, to, "Welcome – schön, dass du da bist", "Dear "+to.Address+",\nit is good to have you here.\n")
	if err != nil {
		svc.forget(id)
		svc.log.Error("welcome message not sent", "error", err)
		// The error is an SMTP reply: 4xx for example for a full disk, 5xx for an
		// invalid address.
		var reply *smtp.SMTPError
		if errors.As(err, &reply) && reply.Code >= 500 {
			http.Error(w, reply.Message, http.StatusBadRequest)
			return
		}
		http.Error(w, "mail cannot be sent at present; try again later", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Location", "/accounts/"+to.Address)
	w.WriteHeader(http.StatusAccepted)
}

// forget removes the account of a message.
func (svc *service) forget(id string) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	delete(svc.accounts, svc.mails[id])
	delete(svc.mails, id)
}

// show returns the state of the welcome message of an account.
func (svc *service) show(w http.ResponseWriter, r *http.Request) {
	svc.mu.Lock()
	state, ok := svc.accounts[r.PathValue("email")]
	svc.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintln(w, state)
}

// follow records the queue's events. Accounts are in memory, so it ignores
// messages of earlier processes.
func (svc *service) follow(events *queue.Subscription) {
	for e := range events.C {
		svc.mu.Lock()
		if who, ours := svc.mails[e.ID]; ours && len(e.Recipients) == 1 {
			switch reply := e.Recipients[0].Reply; e.Kind {
			case queue.EventDefer:
				svc.accounts[who] = "waiting: " + reply
			case queue.EventSend:
				svc.accounts[who] = "delivered: " + reply
				delete(svc.mails, e.ID)
			case queue.EventFail: // the sender also gets a report
				svc.accounts[who] = "failed: " + reply
				delete(svc.mails, e.ID)
			}
		}
		svc.mu.Unlock()
	}
}

// serve is the web server. When ctx ends, it answers the active requests and
// returns.
func (svc *service) serve(ctx context.Context) error {
	l, err := net.Listen("tcp", svc.listen)
	if err != nil {
		return err
	}
	events := svc.mailer.Queue.Subscribe(0)
	defer events.Close()
	go svc.follow(events)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts", svc.signUp)
	mux.HandleFunc("GET /accounts/{email}", svc.show)
	web := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- web.Shutdown(context.WithoutCancel(ctx)) })
	svc.log.Info("listening", "address", l.Addr().String())
	if err := web.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return <-stopped
}
