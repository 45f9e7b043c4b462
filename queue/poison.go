package queue

// begin and end tell the store, if it wants to know, that something is done
// with the message that might kill the process.
func (q *Queue) begin(a *active) {
	if q.marker != nil {
		q.marker.Begin(a.m.ID)
	}
}

func (q *Queue) end(a *active) {
	if q.marker != nil {
		q.marker.End(a.m.ID)
	}
}
