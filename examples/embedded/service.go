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

// maxAccounts bounds the memory that strangers can make us use.
const maxAccounts = 100_000

// A service knows accounts, in memory where a real one has a database.
type service struct {
	listen string
	log    *slog.Logger
	mailer *mailer

	mu       sync.Mutex        // guards what follows
	accounts map[string]string // what has become of the welcome mail, by address
	mails    map[string]string // whose it is, by the message's ID; until it has ended
}

func newService(s *settings, log *slog.Logger) (*service, error) {
	m, err := newMailer(s, log)
	if err != nil {
		return nil, err
	}
	svc := &service{listen: s.listen, log: log, mailer: m, accounts: map[string]string{}, mails: map[string]string{}}
	m.Tasks = []func(context.Context) error{svc.serve}
	return svc, nil
}

// signUp makes an account and welcomes its owner.
func (svc *service) signUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	to, err := mail.ParseAddress(r.FormValue("email"))
	if err == nil && strings.HasSuffix(to.Address, "]") { // an address literal: nobody shall name hosts of our network
		err = errors.New("an address has a domain")
	}
	if err != nil {
		http.Error(w, "email: "+err.Error(), http.StatusBadRequest)
		return
	}
	id := rand.Text()
	svc.mu.Lock()
	_, exists := svc.accounts[to.Address]
	full := len(svc.accounts) >= maxAccounts
	if !exists && !full { // before the events come
		svc.accounts[to.Address], svc.mails[id] = "waits", to.Address
	}
	svc.mu.Unlock()
	if exists { // nobody can have a stranger's mailbox filled with welcomes
		http.Error(w, "there is such an account", http.StatusConflict)
		return
	}
	if full {
		http.Error(w, "we take no more accounts at present", http.StatusServiceUnavailable)
		return
	}
	err = svc.mailer.send(r.Context(), id, to, "Welcome – schön, dass du da bist", "Dear "+to.Address+",\nit is good to have you here.\n")
	if err != nil {
		svc.forget(id)
		svc.log.Error("no mail can be sent", "error", err)
		// The queue answers as it would a client: 4xx for a full disk, 5xx for
		// an address that cannot be one.
		var reply *smtp.SMTPError
		if errors.As(err, &reply) && reply.Code >= 500 {
			http.Error(w, reply.Message, http.StatusBadRequest)
			return
		}
		http.Error(w, "we cannot send mail at present, please come again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Location", "/accounts/"+to.Address)
	w.WriteHeader(http.StatusAccepted)
}

func (svc *service) forget(id string) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	delete(svc.accounts, svc.mails[id])
	delete(svc.mails, id)
}

// show tells how the mail to an account has fared.
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

// follow notes what the queue tells. What was delivered or given up while the
// process was down is in the queue's log.
func (svc *service) follow(events *queue.Subscription) {
	for e := range events.C {
		svc.mu.Lock()
		if who, ours := svc.mails[e.ID]; ours && len(e.Recipients) == 1 {
			switch reply := e.Recipients[0].Reply; e.Kind {
			case queue.EventDefer:
				svc.accounts[who] = "waits: " + reply
			case queue.EventSend:
				svc.accounts[who] = "delivered: " + reply
				delete(svc.mails, e.ID)
			case queue.EventFail: // the sender gets a report besides
				svc.accounts[who] = "failed: " + reply
				delete(svc.mails, e.ID)
			}
		}
		svc.mu.Unlock()
	}
}

// serve is the web's side of the service, until ctx ends: then requests that
// are there are answered.
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
