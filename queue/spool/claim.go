package spool

import (
	"context"
	"iter"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Claim implements queue.Store.
func (s *Spool) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	var ms []*queue.Message
	for {
		if err := ctx.Err(); err != nil {
			return ms, err
		}
		places, err := s.index.claim(c)
		if err != nil {
			return ms, err
		}
		lost := 0
		for i := range places {
			m, err := s.read(&places[i])
			if err != nil {
				s.unreadable(&places[i], err)
				lost++
			} else {
				ms = append(ms, m)
			}
			places[i].done()
		}
		if lost == 0 || c.ID != "" {
			return ms, nil
		}
		c.Max = lost // claim other messages instead of those that could not be read
	}
}

// Next implements queue.Store.
func (s *Spool) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	return s.index.next(c)
}

// Get implements queue.Store.
func (s *Spool) Get(ctx context.Context, id string) (*queue.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := s.index.get(id)
	if err != nil {
		return nil, err
	}
	defer p.done()
	return s.read(&p)
}

// List implements queue.Store.
func (s *Spool) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for {
			page, more, err := s.index.page(q)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if more == "" {
				return
			}
			q.After = more
		}
	}
}

// Hops implements queue.Store.
func (s *Spool) Hops(ctx context.Context) ([]queue.HopSum, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.index.hops()
}
