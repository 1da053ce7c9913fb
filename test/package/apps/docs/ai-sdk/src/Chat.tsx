// src/Chat.tsx
import { useChat } from "@ai-sdk/react";
import { PersistentChatTransport } from "@convex-dev/persistent-text-streaming/ai";
import { useConvex } from "convex/react";
import { useState } from "react";
import { api } from "../convex/_generated/api";

export function Chat() {
  const convex = useConvex();
  const [transport] = useState(
    () =>
      new PersistentChatTransport({
        url: `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`,
        send: ({ messages }) => {
          const part = messages.at(-1)?.parts[0];
          const prompt = part?.type === "text" ? part.text : "";
          return convex.mutation(api.chat.send, { prompt });
        },
        activeStream: () => convex.query(api.chat.activeStream, {}),
      }),
  );
  const { messages, sendMessage, status } = useChat({
    id: "my-chat",
    transport,
    resume: true,
  });
  return (
    <main>
      {messages.map(({ id, parts }) => (
        <p key={id}>
          {parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      <form
        action={(form) =>
          void sendMessage({ text: String(form.get("prompt")) })
        }
      >
        <input name="prompt" disabled={status !== "ready"} />
      </form>
    </main>
  );
}
