// src/App.tsx
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { ConvexProvider, ConvexReactClient, useMutation, useQuery } from "convex/react";
import { api } from "../convex/_generated/api";
import type { Doc } from "../convex/_generated/dataModel";

const client = new ConvexReactClient(import.meta.env.VITE_CONVEX_URL);
const url = `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`;

export default function App() {
  return <ConvexProvider client={client} children={<Chat />} />;
}

function Chat() {
  const messages = useQuery(api.chat.list)?.map((doc) => <Message key={doc._id} {...doc} />);
  const send = useMutation(api.chat.send);
  return (
    <form action={(form) => void send({ prompt: String(form.get("prompt")) })}>
      {messages}
      <input name="prompt" placeholder="Ask something" />
    </form>
  );
}

function Message({ prompt, streamId }: Doc<"messages">) {
  const { text, error } = useStream(api.chat.getStreamBody, url, "auto", streamId);
  return <p style={{ whiteSpace: "pre-wrap" }}>{`${prompt}\n${text}\n${error?.message ?? ""}`}</p>;
}
