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
	return &service{log: log, mailer: m, accounts: map[string]string{}, mails: map[string]string{}}, nil
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

// run serves until ctx ends, and then takes up to half a minute to finish what
// is in hand.
func (svc *service) run(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts", svc.signUp)
	mux.HandleFunc("GET /accounts/{email}", svc.show)
	web := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	events := svc.mailer.queue.Subscribe(0)
	var following sync.WaitGroup
	following.Go(func() { svc.follow(events) })

	ended := make(chan error, 2)
	go func() { ended <- svc.mailer.queue.Run(context.Background()) }()
	go func() { ended <- web.Serve(l) }()
	svc.log.Info("listening", "address", l.Addr().String())
	var err error
	select {
	case <-ctx.Done():
		svc.log.Info("stopping")
	case err = <-ended: // unasked
		ended <- nil
	}
	stop, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = errors.Join(err, web.Shutdown(stop), svc.mailer.close(stop))
	<-ended
	<-ended
	events.Close()
	following.Wait()
	return err
}
