package queue

import "context"

// WithOperator returns a context for operations of an operator: [Queue.Do],
// [Queue.Suspend], [Queue.Lift], [Queue.RetryQueues], [Queue.Freeze] and so on.
// Their events have by, who requests the operation, and reason, why (Event.By,
// Event.Reason).
func WithOperator(ctx context.Context, by, reason string) context.Context {
	return context.WithValue(ctx, operatorKey{}, operator{by, reason})
}

type operatorKey struct{}

// An operator says who requests an operation, and why.
type operator struct{ by, reason string }

func operatorOf(ctx context.Context) operator {
	o, _ := ctx.Value(operatorKey{}).(operator)
	return o
}

// sign sets the fields of an event of an operation.
func (o operator) sign(e *Event) { e.By, e.Reason = o.by, o.reason }
